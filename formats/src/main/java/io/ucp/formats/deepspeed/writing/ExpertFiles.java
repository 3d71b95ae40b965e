package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/// `layer_L_expert_E_mp_rank_XX_model_states.pt` of DeepSpeed-MoE: the weights of one expert of one
/// layer. `L` counts the layers with experts that the rank has, `E` over all expert-parallel ranks,
/// and so do the names inside.
///
/// Source: DeepSpeed `runtime/engine.py` (`_save_moe_checkpoint`, `_get_expert_ckpt_name`,
/// `load_moe_state_dict`).
record ExpertFiles(Ranks target, ExpertPlaces experts, RankHoldings holdings) {
    private static final Pattern EXPERT =
            Pattern.compile("(.+\\.deepspeed_experts\\.)(\\d{1,9})(\\..+)");

    List<TargetFile> files(String folder) {
        List<TargetFile> files = new ArrayList<>();
        for (int mp = 0; mp < target.mp(); mp++) {
            int layer = 0;
            for (Map<Integer, List<Held>> ofLayer : layers(mp)) {
                for (Map.Entry<Integer, List<Held>> e : ofLayer.entrySet()) {
                    String path =
                            "%s/layer_%d_expert_%d_mp_rank_%02d_model_states.pt"
                                    .formatted(folder, layer, e.getKey(), mp);
                    files.add(file(path, e.getValue()));
                }
                layer++;
            }
        }
        return files;
    }

    /// The layers with experts of a rank: number of an expert -> its parameters.
    private List<Map<Integer, List<Held>>> layers(int mp) {
        Map<String, Map<Integer, List<Held>>> layers = new LinkedHashMap<>();
        for (Held held : holdings.on(mp)) {
            if (!held.expert() || !isRead(mp, held.expertRank())) {
                continue;
            }
            Matcher name = EXPERT.matcher(held.facts().name());
            if (!name.matches()) {
                throw new RefusedException(
                        held.facts().name(),
                        "an expert that is not named as DeepSpeed-MoE names it",
                        "`<layer>.deepspeed_moe.experts.deepspeed_experts.<number>.<name>`",
                        "--to universal keeps it");
            }
            layers.computeIfAbsent(name.group(1), _ -> new LinkedHashMap<>())
                    .computeIfAbsent(Integer.parseInt(name.group(2)), _ -> new ArrayList<>())
                    .add(held);
        }
        return List.copyOf(layers.values());
    }

    /// A rank that holds an expert reads the file of its own model-parallel rank.
    private boolean isRead(int mp, int expertRank) {
        return IntStream.range(0, target.dp()).anyMatch(dp -> experts.of(mp, dp) == expertRank);
    }

    private TargetFile file(String path, List<Held> expert) {
        TorchBuilder torch = new TorchBuilder(Map.of());
        Map<String, PickleValue> weights = new LinkedHashMap<>();
        for (Held held : expert) {
            DType dtype = holdings.dtype(held, held.dtype(Held.WEIGHT));
            weights.put(
                    held.facts().name(),
                    TensorPickles.write(
                            torch.tensor(
                                    dtype,
                                    held.shard().shape(),
                                    held.weight(dtype).stream().toList())));
        }
        return torch.file(path, PyDict.of(weights));
    }

    /// A state dict of the model in which some names are of experts but of no parameter, as where a
    /// script saves them beside DeepSpeed: as many of them as a rank of the target has.
    PyDict counted(PyDict module, int mp) {
        int local = localExperts(mp);
        if (local == 0) {
            return module;
        }
        List<PyDict.Entry> entries = new ArrayList<>();
        for (PyDict.Entry entry : module.entries()) {
            Matcher name = EXPERT.matcher(entry.key().asText().orElse(""));
            if (!name.matches()) {
                entries.add(entry);
                continue;
            }
            int number = Integer.parseInt(name.group(2));
            if (number < local) {
                entries.add(entry);
            }
            for (int e = 1; number == 0 && e < local; e++) {
                String key = name.group(1) + e + name.group(3);
                if (!module.has(key)) {
                    entries.add(new PyDict.Entry(PyText.of(key), entry.value()));
                }
            }
        }
        return PyDict.of(entries);
    }

    /// Experts of a layer that the first data-parallel rank has.
    private int localExperts(int mp) {
        return holdings.on(mp).stream()
                .filter(h -> h.expertRank() == experts.of(mp, 0))
                .map(h -> EXPERT.matcher(h.name()))
                .filter(Matcher::matches)
                .mapToInt(name -> Integer.parseInt(name.group(2)) + 1)
                .max()
                .orElse(0);
    }

    /// The expert that such a name means: the one whose own name ends as it does.
    Optional<Held> copied(int mp, String key) {
        int from = key.indexOf("layers.");
        if (from < 0 || !EXPERT.matcher(key).matches()) {
            return Optional.empty();
        }
        String tail = "." + key.substring(from);
        List<Held> meant =
                holdings.on(mp).stream()
                        .filter(h -> h.expertRank() == experts.of(mp, 0) && h.name().endsWith(tail))
                        .toList();
        return meant.size() == 1 ? Optional.of(meant.getFirst()) : Optional.empty();
    }
}
