package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/// `layer_L_expert_E_mp_rank_XX_model_states.pt`: the weights of one expert of one layer. `L`
/// counts the layers with experts that the rank has, `E` over all expert-parallel ranks, and so do
/// the names inside. AutoEP's are the rows of its fused tensors that are of the expert.
///
/// Source: DeepSpeed `runtime/engine.py` (`_save_moe_checkpoint`, `_get_expert_ckpt_name`,
/// `load_moe_state_dict`).
///
/// @param usual dtype of weights, where the source has masters alone
record ExpertFiles(
        Ranks target,
        ExpertPlaces experts,
        RankHoldings holdings,
        AutoEpLayers autoEp,
        DType usual) {
    private static final Pattern EXPERT =
            Pattern.compile("(.+\\.deepspeed_experts\\.)(\\d{1,9})(\\..+)");

    /// A tensor of such a file: elements `[from, to)` of what a rank holds.
    private record Tensor(String name, Held held, long from, long to, Shape shape) {}

    List<TargetFile> files(String folder) {
        List<TargetFile> files = new ArrayList<>();
        for (int mp = 0; mp < target.mp(); mp++) {
            for (Map.Entry<Integer, Map<Integer, List<Tensor>>> layer : layers(mp).entrySet()) {
                for (Map.Entry<Integer, List<Tensor>> e : layer.getValue().entrySet()) {
                    String path =
                            String.format(
                                    Locale.ROOT,
                                    "%s/layer_%d_expert_%d_mp_rank_%02d_model_states.pt",
                                    folder,
                                    layer.getKey(),
                                    e.getKey(),
                                    mp);
                    files.add(file(path, e.getValue()));
                }
            }
        }
        return files;
    }

    /// The layers with experts of a rank, by number: number of an expert -> its tensors.
    private Map<Integer, Map<Integer, List<Tensor>>> layers(int mp) {
        Map<String, Map<Integer, List<Tensor>>> layers = new LinkedHashMap<>();
        for (Held held : holdings.on(mp)) {
            if (!held.expert() || !isRead(mp, held.expertRank())) {
                continue;
            }
            Optional<String> fused = autoEp.layer(held.facts().name());
            if (fused.isPresent()) {
                rows(held, layers.computeIfAbsent(fused.get(), _ -> new LinkedHashMap<>()));
                continue;
            }
            Matcher name = EXPERT.matcher(held.facts().name());
            if (!name.matches()) {
                throw new RefusedException(
                        held.facts().name(),
                        "an expert that is not named as DeepSpeed-MoE names it",
                        "`<layer>.deepspeed_moe.experts.deepspeed_experts.<number>.<name>`, or a"
                                + " layer of `ds_autoep_layers`",
                        "--to universal keeps it");
            }
            layers.computeIfAbsent(name.group(1), _ -> new LinkedHashMap<>())
                    .computeIfAbsent(Integer.parseInt(name.group(2)), _ -> new ArrayList<>())
                    .add(
                            new Tensor(
                                    held.facts().name(),
                                    held,
                                    0,
                                    held.count(),
                                    held.shard().shape()));
        }
        Map<Integer, Map<Integer, List<Tensor>>> numbered = new TreeMap<>();
        layers.forEach((prefix, of) -> numbered.put(number(prefix, numbered.size()), of));
        return numbered;
    }

    private int number(String prefix, int place) {
        return autoEp.numbers().getOrDefault(prefix, place);
    }

    /// The experts that a fused tensor holds.
    private static void rows(Held held, Map<Integer, List<Tensor>> layer) {
        Shape all = held.shard().shape();
        int local = Math.toIntExact(all.dim(0));
        Shape one = Shape.of(Arrays.copyOfRange(all.dims(), 1, all.rank()));
        for (int i = 0; i < local; i++) {
            int number = held.expertRank() * local + i;
            layer.computeIfAbsent(number, _ -> new ArrayList<>())
                    .add(
                            new Tensor(
                                    held.facts().name() + "." + number,
                                    held,
                                    i * one.count(),
                                    (i + 1) * one.count(),
                                    one));
        }
    }

    /// A rank that holds an expert reads the file of its own model-parallel rank.
    private boolean isRead(int mp, int expertRank) {
        return IntStream.range(0, target.dp()).anyMatch(dp -> experts.of(mp, dp) == expertRank);
    }

    private TargetFile file(String path, List<Tensor> expert) {
        TorchBuilder torch = new TorchBuilder(Map.of());
        Map<String, PickleValue> weights = new LinkedHashMap<>();
        for (Tensor tensor : expert) {
            DType own = tensor.held.facts().states().getOrDefault(Held.WEIGHT, usual);
            DType dtype = holdings.dtype(tensor.held, own);
            weights.put(
                    tensor.name,
                    TensorPickles.write(
                            torch.tensor(
                                    dtype,
                                    tensor.shape,
                                    tensor.held.weight(dtype, tensor.from, tensor.to).stream()
                                            .toList())));
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
