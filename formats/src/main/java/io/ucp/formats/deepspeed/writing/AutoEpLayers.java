package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyText;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// `ds_autoep_layers`: the layers whose experts AutoEP fused, which the model states list twice,
/// and `universal_checkpoint_info` once more.
///
/// Source: DeepSpeed `runtime/engine.py` (`_save_moe_checkpoint`),
/// `module_inject/auto_ep_config.py`.
///
/// @param numbers of the layers' files, by the prefix of the experts' names
record AutoEpLayers(Map<String, Integer> numbers) {
    private static final List<String> KEYS = List.of("ds_autoep_layers", "autoep_layers");
    private static final String INFO = "universal_checkpoint_info";
    private static final String PATTERNS = "expert_parameter_patterns";
    private static final String SECTION = "expert_parallel";
    private static final String SIZE = "autoep_size";

    /// Experts of ZeRO 3 are in the optimizer's files.
    private static final String PARTITIONED = "zero3_partitioned";

    static AutoEpLayers of(CarriedFile model) {
        Map<String, Integer> numbers = new LinkedHashMap<>();
        for (String key : KEYS) {
            model.root().flatMap(r -> r.find(key)).flatMap(PickleValue::asSequence).stream()
                    .flatMap(List::stream)
                    .forEach(
                            layer ->
                                    layer.find("expert_key_prefix")
                                            .flatMap(PickleValue::asText)
                                            .ifPresent(p -> numbers.putIfAbsent(p, number(layer))));
        }
        return new AutoEpLayers(numbers);
    }

    private static int number(PickleValue layer) {
        return layer.find("moe_layer_id")
                .filter(v -> v.asLong().isPresent())
                .map(v -> Math.toIntExact(v.asLong().getAsLong()))
                .orElse(0);
    }

    /// @throws RefusedException for a job in which DeepSpeed has no form for them
    void check(WriteRequest request, TargetJob job) {
        if (any() && job.degree("tp") > 1) {
            throw new RefusedException(
                    request.tag(),
                    "experts of AutoEP in a job of tp " + job.degree("tp"),
                    "one tensor-parallel rank",
                    "--tp 1; --to universal keeps the state");
        }
        for (ParameterFacts p : request.parameters()) {
            if (job.stage() == 3 && !p.trainable() && layer(p.name()).isPresent()) {
                throw new RefusedException(
                        p.name(),
                        "experts of AutoEP that are not trained, in a job of ZeRO stage 3",
                        "a stage that has a file for each expert",
                        "--zero 2");
            }
        }
    }

    boolean any() {
        return !numbers.isEmpty();
    }

    /// The prefix of a fused parameter's layer; nothing for any other.
    Optional<String> layer(String name) {
        int dot = name.lastIndexOf('.');
        String prefix = dot < 0 ? "" : name.substring(0, dot);
        return numbers.containsKey(prefix) && name.substring(dot + 1).matches("w[123]")
                ? Optional.of(prefix)
                : Optional.empty();
    }

    /// `ds_config` for other degrees.
    PyDict configured(PyDict config, int degree) {
        Optional<PyDict> section = config.find(SECTION).flatMap(PickleValue::asDict);
        boolean enabled =
                section.flatMap(s -> s.find("enabled"))
                        .filter(new PyBool(true)::equals)
                        .isPresent();
        return enabled && any()
                ? config.with(SECTION, section.orElseThrow().with(SIZE, PyInt.of(degree)))
                : config;
    }

    /// The model states of a rank.
    ///
    /// @param rank its expert-parallel rank
    /// @param replica its number among those that hold the same experts
    /// @param stage of ZeRO
    PyDict in(PyDict model, ExpertPlaces places, int rank, int replica, int stage) {
        PyDict changed = model;
        for (String key : KEYS) {
            changed = layers(changed, key, places, rank, replica, stage);
        }
        Optional<PyDict> info = changed.find(INFO).flatMap(PickleValue::asDict);
        return info.isPresent() ? changed.with(INFO, noted(info.get(), changed)) : changed;
    }

    /// DeepSpeed's converter leaves a part of the list in its universal form, and a pattern of its
    /// own; a job saves its whole list there, and its own pattern.
    private static PyDict noted(PyDict info, PyDict model) {
        PyDict noted = info;
        if (info.has(PATTERNS)) {
            noted = noted.with(PATTERNS, PyList.of(PyText.of(".*\\.experts\\.w[123]$")));
        }
        Optional<PickleValue> list = model.find(KEYS.getFirst()).filter(v -> !v.isNone());
        return info.has(KEYS.getFirst()) && list.isPresent()
                ? noted.with(KEYS.getFirst(), list.get())
                : noted;
    }

    private static PyDict layers(
            PyDict dict, String key, ExpertPlaces places, int rank, int replica, int stage) {
        Optional<List<PickleValue>> layers = dict.find(key).flatMap(PickleValue::asSequence);
        return layers.isEmpty()
                ? dict
                : dict.with(
                        key,
                        PyList.of(
                                layers.get().stream()
                                        .map(l -> layer(l, places, rank, replica, stage))
                                        .toList()));
    }

    /// What the entry has of these, for the rank.
    private static PickleValue layer(
            PickleValue layer, ExpertPlaces places, int rank, int replica, int stage) {
        Optional<PyDict> dict = layer.asDict();
        if (dict.isEmpty()) {
            return layer;
        }
        long experts = layer.find("num_experts").map(v -> v.asLong().orElse(0)).orElse(0L);
        long local = experts / places.degree();
        Map<String, PickleValue> of = new LinkedHashMap<>();
        of.put("num_local_experts", PyInt.of(local));
        of.put("ep_size", PyInt.of(places.degree()));
        of.put("ep_group_name", PyText.of("ep_size_" + places.degree()));
        of.put("ep_rank", PyInt.of(rank));
        of.put("expert_data_parallel_rank", PyInt.of(replica));
        of.put("expert_data_parallel_world_size", PyInt.of(places.replicas()));
        of.put("global_expert_start", PyInt.of(rank * local));
        of.put("global_expert_end", PyInt.of(rank * local + local));
        of.put("checkpoint_format", PyText.of(stage == 3 ? PARTITIONED : "per_expert_files"));
        of.put("checkpoint_format_version", stage == 3 ? PyInt.of(1) : PyNone.NONE);
        PyDict changed = dict.get();
        for (Map.Entry<String, PickleValue> e : of.entrySet()) {
            changed = changed.has(e.getKey()) ? changed.with(e.getKey(), e.getValue()) : changed;
        }
        return changed;
    }
}
