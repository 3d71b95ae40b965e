package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// Layer files of a pipeline whose source has none: DeepSpeed's universal form keeps every
/// parameter and no layer. `5.mlp.weight` says that layer 5 has a `mlp.weight`; that of a module
/// which layers share is the first of them, the embedding, right before the first layer that has a
/// number.
///
/// Source: DeepSpeed `runtime/pipe/module.py` (`save_state_dict`); Megatron-DeepSpeed
/// `model/gpt_model.py`, whose module 0 is a cast.
record MadeLayerFiles(
        Ranks target, SourceFiles source, RankHoldings holdings, Configuration configuration) {
    private static final String TIED = "tied_modules.";

    /// The first module is a cast, whatever the weights are.
    private static final int EMBEDDING = 1;

    List<TargetFile> files(String folder) {
        Map<Integer, Map<String, String>> layers = layers();
        List<TargetFile> files = new ArrayList<>();
        layers.forEach(
                (layer, names) -> {
                    for (int tp = 0; tp < target.tp(); tp++) {
                        files.add(file(folder, layer, tp, names));
                    }
                });
        return files;
    }

    /// What a user is told of them, where there are any.
    Optional<String> note() {
        return layers().isEmpty()
                ? Optional.empty()
                : Optional.of(
                        "layer files are made of the names of the parameters, for the source has"
                                + " none: layers without parameters have no file");
    }

    /// Layer -> key in its file -> the rank's name of the parameter.
    private Map<Integer, Map<String, String>> layers() {
        Map<Integer, Map<String, String>> layers = new TreeMap<>();
        Map<String, String> shared = new LinkedHashMap<>();
        Set<String> modules = new TreeSet<>();
        for (int mp = 0; mp < target.mp(); mp += target.tp()) {
            for (Held held : holdings.on(mp)) {
                String name = held.name();
                if (!MadeStates.isModule(name)) {
                    continue;
                }
                refuseExpert(held);
                if (name.startsWith(TIED)) {
                    int dot = name.indexOf('.', TIED.length());
                    modules.add(dot < 0 ? name : name.substring(0, dot));
                    shared.put(name.substring(dot + 1), name);
                } else {
                    int dot = name.indexOf('.');
                    layers.computeIfAbsent(
                                    Integer.parseInt(name.substring(0, dot)),
                                    _ -> new LinkedHashMap<>())
                            .put(name.substring(dot + 1), name);
                }
            }
        }
        if (!shared.isEmpty()) {
            layers.put(embedding(modules, layers.keySet()), shared);
        }
        return layers;
    }

    private int embedding(Set<String> modules, Set<Integer> numbered) {
        int before = numbered.stream().mapToInt(Integer::intValue).min().orElse(0) - 1;
        if (modules.size() > 1 || before != EMBEDDING) {
            throw new RefusedException(
                    String.join(", ", modules),
                    "modules that layers share, and nothing says which layers: layers with numbers"
                            + " begin with "
                            + (before + 1),
                    "one such module, right before them, as Megatron-DeepSpeed's embedding",
                    "convert the checkpoint that this form was made from");
        }
        return EMBEDDING;
    }

    private static void refuseExpert(Held held) {
        if (held.expert()) {
            throw new RefusedException(
                    held.facts().name(),
                    "an expert in a pipeline's layer, and the source has no layer files",
                    "layer files, which DeepSpeed's universal form leaves out",
                    "convert the checkpoint that it was made from");
        }
    }

    /// Whether a pipeline's job wrote the state: then its names are of modules, and its model
    /// states leave the weights to layer files.
    static boolean isPipeline(WriteRequest request) {
        return request.parameters().stream().anyMatch(p -> MadeStates.isModule(p.name()))
                && request.carried().stream()
                        .filter(f -> f.role().equals(SourceFiles.MODEL_STATES))
                        .flatMap(f -> f.root().stream())
                        .allMatch(r -> r.find("module").map(PickleValue::isNone).orElse(true));
    }

    /// Buffers are in layer files alone: a state that came without these has lost them.
    ///
    /// @throws RefusedException where the model states name some
    static void refuseBuffers(WriteRequest request) {
        boolean layers = request.carried().stream().anyMatch(f -> f.role().equals("layer"));
        if (layers || !isPipeline(request)) {
            return;
        }
        for (CarriedFile model : request.carried()) {
            List<PickleValue> buffers =
                    model.root()
                            .filter(_ -> model.role().equals(SourceFiles.MODEL_STATES))
                            .flatMap(r -> r.find("buffer_names"))
                            .flatMap(PickleValue::asSequence)
                            .orElse(List.of());
            if (!buffers.isEmpty()) {
                throw new RefusedException(
                        model.path(),
                        "buffers of a pipeline's layers (%s, ..), and the source has no layer files"
                                .formatted(buffers.getFirst().asText().orElse("?")),
                        "layer files, which DeepSpeed's universal form leaves out",
                        "convert the checkpoint that it was made from");
            }
        }
    }

    /// A topology with an axis of tensor parallelism, which Megatron-DeepSpeed's always has, names
    /// it.
    private boolean namesRanks() {
        return target.tp() > 1
                || source.ranks().tp() > 1
                || source.number("args", "tensor_model_parallel_size").isPresent();
    }

    private TargetFile file(String folder, int layer, int tp, Map<String, String> names) {
        TorchBuilder torch = new TorchBuilder(Map.of());
        Map<String, PickleValue> dict = new LinkedHashMap<>();
        names.forEach(
                (key, name) -> {
                    Held held = held(name, tp);
                    DType dtype =
                            holdings.dtype(
                                    held,
                                    held.facts()
                                            .states()
                                            .getOrDefault(
                                                    Held.WEIGHT,
                                                    RankHoldings.dtypeOf(configuration.weights())));
                    dict.put(
                            key,
                            TensorPickles.write(
                                    torch.tensor(
                                            dtype,
                                            held.shard().shape(),
                                            held.weight(dtype).stream().toList())));
                });
        return torch.file(
                folder + "/" + (namesRanks() ? LayerName.of(layer, tp) : LayerName.of(layer)),
                PyObject.orderedDict(PyDict.of(dict)));
    }

    /// On the first stage that has it.
    private Held held(String name, int tp) {
        for (int pp = 0; pp < target.pp(); pp++) {
            Optional<Held> held = holdings.named(pp * target.tp() + tp, name);
            if (held.isPresent()) {
                return held.get();
            }
        }
        throw new IllegalStateException(name);
    }
}
