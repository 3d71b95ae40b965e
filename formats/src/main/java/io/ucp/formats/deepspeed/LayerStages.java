package io.ucp.formats.deepspeed;

import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.pickle.PickleValue;

import java.io.IOException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/// The stages of a pipeline without ZeRO, whose files list no parameters: layers follow each other
/// over the stages, and each stage's optimizer says how much it trains. Where layers share a module
/// the last stage trains a copy that no file names, and nothing is said.
///
/// Source: DeepSpeed `runtime/pipe/module.py` (`_partition_layers`, `save_state_dict`).
///
/// @param stages by the number of the layer; empty where the files do not tell
record LayerStages(Map<Integer, Integer> stages) {
    private static final LayerStages NONE = new LayerStages(Map.of());

    static LayerStages of(CheckpointFiles files, Degrees degrees, int tp) throws IOException {
        if (degrees.pp() == 1 || !files.optimizers().isEmpty()) {
            return NONE;
        }
        Set<String> buffers = new HashSet<>();
        files.models().values().forEach(m -> buffers.addAll(m.buffers()));
        NavigableMap<Integer, List<TensorEntry>> layers = new TreeMap<>();
        for (CheckpointFile file : files.layers()) {
            FileName.Layer layer = (FileName.Layer) file.name();
            List<TensorEntry> held = held(file, layer.layer(), buffers);
            if (layer.tp() == tp && !held.isEmpty()) {
                layers.put(layer.layer(), held);
            }
        }
        Map<Integer, Integer> stages = new HashMap<>();
        for (int stage = 0; stage < degrees.pp(); stage++) {
            Optional<Amount> left = trained(files.model(stage * degrees.tp() + tp));
            while (left.filter(Amount::isSome).isPresent() && !layers.isEmpty()) {
                Map.Entry<Integer, List<TensorEntry>> layer = layers.pollFirstEntry();
                left = left.get().without(layer.getValue());
                stages.put(layer.getKey(), stage);
            }
            if (left.isEmpty() || left.get().isSome()) {
                return NONE;
            }
        }
        return layers.isEmpty() ? new LayerStages(Map.copyOf(stages)) : NONE;
    }

    /// Parameters, or, where an optimizer lays them end to end, elements.
    private record Amount(long count, boolean elements) {
        boolean isSome() {
            return count > 0;
        }

        /// Nothing where that is more than there is.
        Optional<Amount> without(List<TensorEntry> layer) {
            long own =
                    elements
                            ? layer.stream().mapToLong(t -> t.shape().count()).sum()
                            : layer.size();
            return own > count ? Optional.empty() : Optional.of(new Amount(count - own, elements));
        }
    }

    private static List<TensorEntry> held(CheckpointFile file, int layer, Set<String> buffers)
            throws IOException {
        Map<String, TensorEntry> module = new LinkedHashMap<>();
        ModelStates.flatten(
                file, "", file.dict(file.root(), "the state dict of a layer"), module, 0);
        return module.entrySet().stream()
                .filter(e -> !buffers.contains(layer + "." + e.getKey()))
                .map(Map.Entry::getValue)
                .toList();
    }

    private static Optional<Amount> trained(ModelStates model) {
        PickleValue root = model.file().root();
        Optional<List<PickleValue>> flat =
                root.find("optimizer", "fp32_groups_flat").flatMap(PickleValue::asSequence);
        if (flat.isPresent()) {
            long elements = 0;
            for (PickleValue group : flat.get()) {
                Optional<TensorEntry> tensor = model.file().tensor(group);
                if (tensor.isEmpty()) {
                    return Optional.empty();
                }
                elements = Math.addExact(elements, tensor.get().shape().count());
            }
            return Optional.of(new Amount(elements, true));
        }
        return root.find("optimizer", "param_groups")
                .or(() -> root.find("optimizer", "optimizer_state_dict", "param_groups"))
                .flatMap(PickleValue::asSequence)
                .map(
                        groups ->
                                new Amount(
                                        groups.stream()
                                                .mapToLong(g -> WholeMembers.numbers(g).size())
                                                .sum(),
                                        false));
    }
}
