package io.ucp.formats.deepspeed;

import io.ucp.formats.torch.pickle.PickleValue;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// The proof that every expert of every layer has its file: the model states say how many experts
/// each layer with experts has (`num_experts`), and files of older jobs count them without a gap.
///
/// Source: DeepSpeed `runtime/engine.py` (`_save_moe_checkpoint`).
final class ExpertLayers {
    private ExpertLayers() {}

    /// @param across the tensor-parallel ranks of a stage have the files of its experts together
    /// @throws io.ucp.formats.IncompleteCheckpointException naming a file that is not there
    static void complete(CheckpointFiles files, Degrees degrees, boolean across)
            throws IOException {
        Map<Integer, Map<Integer, Set<Integer>>> held = new TreeMap<>();
        for (CheckpointFile file : files.experts()) {
            FileName.Expert name = (FileName.Expert) file.name();
            int mp = across ? name.mp() - name.mp() % degrees.tp() : name.mp();
            held.computeIfAbsent(mp, _ -> new TreeMap<>())
                    .computeIfAbsent(name.layer(), _ -> new TreeSet<>())
                    .add(name.expert());
        }
        for (int mp = 0; !files.perRank() && mp < degrees.mp(); mp += across ? degrees.tp() : 1) {
            if (!held.containsKey(mp) && counts(files, degrees, mp).stream().anyMatch(n -> n > 1)) {
                throw files.missing(file(0, 0, mp));
            }
        }
        for (Map.Entry<Integer, Map<Integer, Set<Integer>>> rank : held.entrySet()) {
            List<Long> counts = counts(files, degrees, rank.getKey());
            int layers = Math.max(counts.size(), 1 + most(rank.getValue().keySet()));
            for (int layer = 0; layer < layers; layer++) {
                Set<Integer> experts = rank.getValue().getOrDefault(layer, Set.of());
                long count = layer < counts.size() ? counts.get(layer) : 0;
                count = Math.max(count, 1 + most(experts));
                for (int expert = 0; expert < count; expert++) {
                    if (!experts.contains(expert)) {
                        throw files.missing(file(layer, expert, rank.getKey()));
                    }
                }
            }
        }
    }

    static String file(int layer, int expert, int mp) {
        return "layer_%d_expert_%d_mp_rank_%02d_model_states.pt".formatted(layer, expert, mp);
    }

    private static int most(Set<Integer> numbers) {
        return numbers.stream().mapToInt(Integer::intValue).max().orElse(0);
    }

    /// Experts of each layer of the rank's stage, as far as that is said.
    private static List<Long> counts(CheckpointFiles files, Degrees degrees, int mp)
            throws IOException {
        return mp >= degrees.mp()
                ? List.of()
                : files
                        .model(mp)
                        .file()
                        .root()
                        .find("num_experts")
                        .flatMap(PickleValue::asSequence)
                        .orElse(List.of())
                        .stream()
                        .map(PickleValue::asLong)
                        .filter(OptionalLong::isPresent)
                        .map(OptionalLong::getAsLong)
                        .filter(n -> n < 1_000_000)
                        .toList();
    }
}
