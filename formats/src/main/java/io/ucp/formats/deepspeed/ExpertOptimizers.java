package io.ucp.formats.deepspeed;

import io.ucp.formats.HeldTensor;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;

import java.io.IOException;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// `expp_rank_E_mp_rank_MM_optim_states.pt` of a job without ZeRO that has experts: the optimizer
/// of an expert-parallel rank, dense parameters included, written by the first rank that holds its
/// experts. The one in the model states is the first of them once more; DeepSpeed does not read it.
///
/// Source: DeepSpeed `runtime/engine.py` (`_save_moe_checkpoint`, `_load_checkpoint`,
/// `_get_optimizer_ckpt_name`).
final class ExpertOptimizers {
    private static final Pattern EP_SIZE = Pattern.compile("ep_size_(\\d{1,6})");

    private final Degrees degrees;
    private final GroupHolders.Experts experts;

    /// @param experts as [#divided] says
    ExpertOptimizers(Degrees degrees, GroupHolders.Experts experts) {
        this.degrees = degrees;
        this.experts = experts;
    }

    /// How experts divide the ranks, by the files that there are.
    ///
    /// @throws IncompleteCheckpointException where a rank's file is missing
    static GroupHolders.Experts divided(CheckpointFiles files, Degrees degrees) throws IOException {
        Map<Integer, Set<Integer>> ranks = new TreeMap<>();
        int ep = 0;
        for (CheckpointFile file : files.expertOptimizers()) {
            FileName.ExpertOptimizer name = nameOf(file);
            ranks.computeIfAbsent(name.mp(), _ -> new TreeSet<>()).add(name.ep());
            ep = Math.max(ep, Math.max(name.ep() + 1, said(file)));
        }
        if (ranks.isEmpty()) {
            return GroupHolders.Experts.NONE;
        }
        boolean across = isAcrossTensor(files, degrees, ranks);
        Map<Integer, Set<Integer>> together = new TreeMap<>();
        ranks.forEach(
                (mp, held) ->
                        together.computeIfAbsent(
                                        across ? mp - mp % degrees.tp() : mp, _ -> new TreeSet<>())
                                .addAll(held));
        for (Map.Entry<Integer, Set<Integer>> held : together.entrySet()) {
            for (int e = 0; e < ep; e++) {
                if (!held.getValue().contains(e)) {
                    throw files.missing(
                            "expp_rank_%d_mp_rank_%02d_optim_states.pt"
                                    .formatted(e, held.getKey()));
                }
            }
        }
        int divided = degrees.dp() * (across ? degrees.tp() : 1);
        if (divided % ep != 0) {
            throw new IncompleteCheckpointException(
                    files.expertOptimizers().getFirst().path().toString(),
                    "optimizers of %d expert-parallel ranks".formatted(ep),
                    "as many as divide the %d ranks of the job that share experts"
                            .formatted(divided),
                    "the folder was saved into by two jobs; remove the files of the other one");
        }
        return new GroupHolders.Experts(ep, divided / ep, across);
    }

    private static FileName.ExpertOptimizer nameOf(CheckpointFile file) {
        return (FileName.ExpertOptimizer) file.name();
    }

    /// The degree that the optimizer's groups of experts name, 0 where they name none.
    private static int said(CheckpointFile file) {
        int ep = 0;
        for (PickleValue group : groups(file)) {
            Matcher m = EP_SIZE.matcher(group.find("name").flatMap(PickleValue::asText).orElse(""));
            ep = m.find() ? Math.max(ep, Integer.parseInt(m.group(1))) : ep;
        }
        return ep;
    }

    private static List<PickleValue> groups(CheckpointFile file) {
        return file.root()
                .find("optimizer", "param_groups")
                .or(() -> file.root().find("optimizer", "optimizer_state_dict", "param_groups"))
                .flatMap(PickleValue::asSequence)
                .orElse(List.of());
    }

    /// As the script's arguments say; else, where tensor-parallel ranks of a stage have the
    /// optimizers of other experts.
    private static boolean isAcrossTensor(
            CheckpointFiles files, Degrees degrees, Map<Integer, Set<Integer>> ranks)
            throws IOException {
        if (degrees.tp() == 1) {
            return false;
        }
        Optional<PickleValue> cut =
                files.model(0).file().root().find("args", "enable_expert_tensor_parallelism");
        if (cut.isPresent()) {
            return !cut.get().equals(new PyBool(true));
        }
        return ranks.entrySet().stream()
                .anyMatch(
                        held -> {
                            int first = held.getKey() - held.getKey() % degrees.tp();
                            for (int mp = first; mp < first + degrees.tp(); mp++) {
                                if (!held.getValue().equals(ranks.get(mp))) {
                                    return true;
                                }
                            }
                            return false;
                        });
    }

    /// The experts of the rank that wrote a file, under the numbers that it gives them, in its
    /// model's order; nothing where names do not say a number.
    Optional<List<HeldTensor>> experts(CheckpointFile file, Weights weights) {
        List<HeldTensor> all =
                weights.tensors().stream()
                        .filter(t -> expert(t).filter(e -> isSeen(e, nameOf(file))).isPresent())
                        .toList();
        Map<Integer, Set<Integer>> layers = new HashMap<>();
        for (HeldTensor held : all) {
            FileName.Expert expert = expert(held).orElseThrow();
            layers.computeIfAbsent(expert.layer(), _ -> new TreeSet<>()).add(expert.expert());
        }
        Map<String, HeldTensor> found = new LinkedHashMap<>();
        for (HeldTensor held : all) {
            FileName.Expert expert = expert(held).orElseThrow();
            int count = layers.getOrDefault(expert.layer(), Set.of()).size();
            int local = count / experts.ep();
            boolean divided = count % experts.ep() == 0;
            Optional<HeldTensor> own =
                    held.at().indices().containsKey("ep")
                            ? Optional.of(held)
                            : divided ? renumbered(held, expert.expert(), local) : Optional.empty();
            if (own.isEmpty()) {
                return Optional.empty();
            }
            if (own.get().at().on("ep") == nameOf(file).ep()) {
                found.putIfAbsent(own.get().name(), own.get());
            }
        }
        return Optional.of(List.copyOf(found.values()));
    }

    private static Optional<FileName.Expert> expert(HeldTensor held) {
        return FileName.of(TagFolder.nameOf(held.tensor().source().path()))
                        instanceof FileName.Expert expert
                ? Optional.of(expert)
                : Optional.empty();
    }

    private boolean isSeen(FileName.Expert expert, FileName.ExpertOptimizer by) {
        return experts.acrossTensor()
                ? expert.mp() / degrees.tp() == by.mp() / degrees.tp()
                : expert.mp() == by.mp();
    }

    /// The part behind one that ends in `experts` is the number.
    private static Optional<HeldTensor> renumbered(HeldTensor held, int global, int local) {
        String[] parts = held.name().split("\\.", -1);
        for (int i = 1; i < parts.length; i++) {
            if (parts[i - 1].endsWith("experts") && parts[i].equals(Integer.toString(global))) {
                parts[i] = Integer.toString(global % local);
                return Optional.of(
                        new HeldTensor(
                                String.join(".", parts),
                                held.state(),
                                held.at().with("ep", global / local),
                                held.tensor()));
            }
        }
        return Optional.empty();
    }
}
