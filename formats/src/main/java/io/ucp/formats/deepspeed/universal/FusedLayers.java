package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyText;

import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// The layers whose experts AutoEP fused, as the model states list them, and what upstream's
/// converter writes of them into `universal_checkpoint_info`: of ZeRO 0 to 2 what is the same on
/// all ranks (the keys that ranks differ in are left out), of stage 3 each rank's own list.
///
/// Source: DeepSpeed `checkpoint/ds_to_universal.py` (`main`, `_aggregate_autoep_zero12_metadata`),
/// `checkpoint/deepspeed_checkpoint.py` (`_lightweight_autoep_metadata`).
///
/// @param byPrefix of the experts' names -> the keys that upstream keeps
record FusedLayers(Map<String, Map<String, PickleValue>> byPrefix) {
    private static final String INFO = "universal_checkpoint_info";
    private static final String LAYERS = "ds_autoep_layers";
    private static final List<String> LISTS = List.of(LAYERS, "autoep_layers");
    private static final String PATTERNS = "expert_parameter_patterns";
    private static final String PREFIX = "expert_key_prefix";
    private static final String NUM_EXPERTS = "num_experts";
    private static final String DEGREE = "ep_size";
    private static final List<String> KEPT =
            List.of(
                    "moe_layer_id",
                    "module_path",
                    PREFIX,
                    NUM_EXPERTS,
                    "num_local_experts",
                    DEGREE);

    /// @param models model states
    /// @throws RefusedException where two of them say another thing of a layer
    static FusedLayers of(Collection<PickleValue> models) {
        Map<String, Map<String, PickleValue>> layers = new LinkedHashMap<>();
        for (PickleValue model : models) {
            for (PickleValue layer : listed(model)) {
                Optional<String> prefix = layer.find(PREFIX).flatMap(PickleValue::asText);
                if (prefix.isEmpty()) {
                    continue;
                }
                Map<String, PickleValue> kept = new LinkedHashMap<>();
                KEPT.forEach(key -> layer.find(key).ifPresent(value -> kept.put(key, value)));
                Map<String, PickleValue> before = layers.putIfAbsent(prefix.get(), kept);
                if (before != null && !before.equals(kept)) {
                    throw new RefusedException(
                            prefix.get(),
                            "model states that list it as %s, and others as %s"
                                    .formatted(before, kept),
                            "one `%s` in all".formatted(LAYERS),
                            "copy the files of one save");
                }
            }
        }
        return new FusedLayers(layers);
    }

    private static List<PickleValue> listed(PickleValue model) {
        return LISTS.stream()
                .flatMap(key -> model.find(key).flatMap(PickleValue::asSequence).stream())
                .findFirst()
                .orElse(List.of());
    }

    boolean isEmpty() {
        return byPrefix.isEmpty();
    }

    /// Name of a fused parameter -> number of experts along its dimension 0.
    Map<String, Long> experts() {
        Map<String, Long> all = new LinkedHashMap<>();
        byPrefix.forEach(
                (prefix, layer) -> {
                    OptionalLong count = number(layer, NUM_EXPERTS);
                    for (String weight : List.of("w1", "w2", "w3")) {
                        count.ifPresent(c -> all.put(prefix + "." + weight, c));
                    }
                });
        return all;
    }

    /// Expert-parallel ranks: as many for every layer of a job.
    OptionalLong degree() {
        return byPrefix.values().stream()
                .map(layer -> number(layer, DEGREE))
                .findFirst()
                .orElse(OptionalLong.empty());
    }

    private static OptionalLong number(Map<String, PickleValue> layer, String key) {
        PickleValue value = layer.get(key);
        return value == null ? OptionalLong.empty() : value.asLong();
    }

    /// The model states of a rank as upstream's converter leaves them.
    ///
    /// @param stage3 of ZeRO
    PickleValue in(PickleValue model, boolean stage3) {
        Optional<PyDict> root = model.asDict();
        if (isEmpty() || root.isEmpty()) {
            return model;
        }
        PyDict info = model.find(INFO).flatMap(PickleValue::asDict).orElse(PyDict.empty());
        PyText pattern = PyText.of(stage3 ? ".*\\.experts\\.w[123]$" : "\\.experts\\.w[123]$");
        List<PickleValue> layers =
                stage3
                        ? listed(model)
                        : byPrefix.values().stream().map(l -> (PickleValue) PyDict.of(l)).toList();
        boolean same =
                info.find(PATTERNS)
                                .flatMap(PickleValue::asSequence)
                                .equals(Optional.of(List.of(pattern)))
                        && info.find(LAYERS)
                                .flatMap(PickleValue::asSequence)
                                .map(FusedLayers::entries)
                                .equals(Optional.of(entries(layers)));
        return same
                ? model
                : root.get()
                        .with(
                                INFO,
                                info.with(PATTERNS, PyList.of(pattern))
                                        .with(LAYERS, PyList.of(layers)));
    }

    /// What lists of numbers and texts say, so that two can be compared.
    private static List<List<PyDict.Entry>> entries(List<PickleValue> layers) {
        return layers.stream()
                .map(layer -> layer.asDict().map(PyDict::entries).orElse(List.of()))
                .toList();
    }
}
