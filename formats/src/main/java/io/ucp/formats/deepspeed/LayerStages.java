package io.ucp.formats.deepspeed;

import io.ucp.formats.Finding;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.pickle.PickleValue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;

/// The stages of a pipeline without ZeRO, whose files list no parameters: layers follow each other
/// over the stages, and each stage's optimizer says how much it trains.
///
/// A module that layers share (`TiedLayerSpec`) is the first of each stage's parameters that has
/// one of these layers: `PipelineModule` registers `tied_modules` before it builds its layers. A
/// layer with a function of its own (`forward_fn`), as a head has, leaves no file, so that the
/// optimizer of its stage trains more than the stage's files hold. Which module that is follows
/// where one alone explains what every stage trains: how much, and in which shapes.
///
/// Source: DeepSpeed `runtime/pipe/module.py` (`__init__`, `_build`, `_partition_layers`,
/// `save_state_dict`).
///
/// @param stages by the number of the layer; empty where the files do not tell
/// @param shared the module that layers share, where one does
record LayerStages(Map<Integer, Integer> stages, Optional<SharedModule> shared) {
    private static final LayerStages NONE = new LayerStages(Map.of(), Optional.empty());

    LayerStages {
        stages = Map.copyOf(stages);
    }

    boolean isShared(int layer) {
        return shared.filter(s -> s.layers().contains(layer)).isPresent();
    }

    /// What the names of the shared module's parameters begin with.
    String prefix() {
        return shared.map(SharedModule::prefix).orElse("");
    }

    /// Stages that train the shared module and have no file of it.
    Set<Integer> copies() {
        return shared.map(SharedModule::copies).orElse(Set.of());
    }

    /// Of all tensor-parallel ranks, which build the same layers.
    static LayerStages of(CheckpointFiles files, Degrees degrees, List<Finding> findings)
            throws IOException {
        if (files.layers().isEmpty() || !files.optimizers().isEmpty()) {
            return NONE;
        }
        LayerStages found = of(files, degrees, 0);
        for (int tp = 1; tp < degrees.tp(); tp++) {
            if (!of(files, degrees, tp).equals(found)) {
                return NONE;
            }
        }
        if (found.shared.isPresent()) {
            SharedModule shared = found.shared.get();
            findings.add(new Finding(shared.place(), shared.described()));
        } else if (degrees.pp() == 1 && !SharedModule.isSaid(files.model(0))) {
            findings.add(
                    new Finding(
                            files.model(0).file().label(),
                            "no file of one stage without ZeRO says whether layers share a module:"
                                    + " taken as none does; more stages of a model where some do"
                                    + " would not load what is written for them"));
        }
        return found;
    }

    private static LayerStages of(CheckpointFiles files, Degrees degrees, int tp)
            throws IOException {
        NavigableMap<Integer, Map<String, TensorEntry>> layers = layers(files, tp);
        List<ModelStates> models = new ArrayList<>();
        List<Amount> trained = new ArrayList<>();
        for (int stage = 0; stage < degrees.pp(); stage++) {
            ModelStates model = files.model(stage * degrees.tp() + tp);
            models.add(model);
            trained(model).ifPresent(trained::add);
        }
        if (trained.size() < degrees.pp()
                || trained.stream().map(Amount::elements).distinct().count() > 1) {
            return NONE;
        }
        StageSearch search =
                new StageSearch(
                        layers,
                        trained.stream().map(Amount::count).toList(),
                        trained.getFirst().elements());
        Trial trial = new Trial(search, files, layers, models);
        Optional<LayerStages> said = only(trial.explaining(SharedModule.said(layers, files)));
        if (said.isPresent()) {
            return said.get();
        }
        Optional<StageSearch.Found> plain = search.plain();
        if (plain.filter(f -> trial.fits(f, Optional.empty())).isEmpty()
                && files.expertOptimizers().isEmpty()) {
            Optional<LayerStages> shared = trial.shared();
            if (shared.isPresent()) {
                return shared.get();
            }
        }
        return plain.isPresent() && degrees.pp() > 1
                ? new LayerStages(plain.get().stages(), Optional.empty())
                : NONE;
    }

    private static Optional<LayerStages> only(List<LayerStages> found) {
        return found.size() == 1 ? Optional.of(found.getFirst()) : Optional.empty();
    }

    /// What can be tried of one tensor-parallel rank's files.
    ///
    /// @param layers what each holds, by its number
    /// @param models of each stage
    private record Trial(
            StageSearch search,
            CheckpointFiles files,
            Map<Integer, Map<String, TensorEntry>> layers,
            List<ModelStates> models) {
        /// The one module that explains every stage, where there is one: first of those that two
        /// layers have a file for, then of those that one has.
        Optional<LayerStages> shared() {
            List<LayerStages> twins = explaining(search.twins());
            return only(twins.isEmpty() ? explaining(search.single()) : twins);
        }

        /// @param candidates layers of one module
        List<LayerStages> explaining(List<Set<Integer>> candidates) {
            List<LayerStages> found = new ArrayList<>();
            for (Set<Integer> candidate : candidates) {
                SharedModule module = SharedModule.of(candidate, layers, files);
                for (StageSearch.Found each : search.sharing(candidate)) {
                    SharedModule held = module.copiedTo(each.copies());
                    if (fits(each, Optional.of(held))) {
                        found.add(new LayerStages(each.stages(), Optional.of(held)));
                    }
                }
            }
            return found;
        }

        /// Whether every stage's optimizer holds what that makes of it.
        boolean fits(StageSearch.Found found, Optional<SharedModule> shared) {
            for (int stage = 0; stage < models.size(); stage++) {
                List<HeldTensor> parameters = new ArrayList<>();
                if (shared.isPresent() && shared.get().isOn(stage, found.stages())) {
                    parameters.addAll(shared.get().parameters(layers));
                }
                for (Map.Entry<Integer, Map<String, TensorEntry>> layer : layers.entrySet()) {
                    int number = layer.getKey();
                    if (found.stages().getOrDefault(number, -1) == stage
                            && shared.filter(s -> s.layers().contains(number)).isEmpty()) {
                        parameters.addAll(SharedModule.parameters(number + ".", layer.getValue()));
                    }
                }
                if (!WholeOptimizer.fits(models.get(stage).file(), parameters)) {
                    return false;
                }
            }
            return true;
        }
    }

    /// Parameters, or, where an optimizer lays them end to end, elements.
    private record Amount(long count, boolean elements) {}

    /// What the layers train, by their number.
    private static NavigableMap<Integer, Map<String, TensorEntry>> layers(
            CheckpointFiles files, int tp) throws IOException {
        Set<String> buffers = new HashSet<>();
        files.models().values().forEach(m -> buffers.addAll(m.buffers()));
        NavigableMap<Integer, Map<String, TensorEntry>> layers = new TreeMap<>();
        for (CheckpointFile file : files.layers()) {
            FileName.Layer layer = (FileName.Layer) file.name();
            if (layer.tp() != tp) {
                continue;
            }
            Map<String, TensorEntry> module = new LinkedHashMap<>();
            ModelStates.flatten(file, file.dict(file.root(), "the state dict of a layer"), module);
            module.keySet()
                    .removeIf(
                            key ->
                                    buffers.contains(layer.layer() + "." + key)
                                            || SharedModule.keys(buffers.stream(), key)
                                                    .findAny()
                                                    .isPresent());
            if (!module.isEmpty()) {
                layers.put(layer.layer(), module);
            }
        }
        return layers;
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
        return groups(root)
                .map(
                        groups ->
                                new Amount(
                                        groups.stream()
                                                .mapToLong(g -> WholeMembers.numbers(g).size())
                                                .sum(),
                                        false));
    }

    private static Optional<List<PickleValue>> groups(PickleValue root) {
        return root.find("optimizer", "param_groups")
                .or(() -> root.find("optimizer", "optimizer_state_dict", "param_groups"))
                .flatMap(PickleValue::asSequence);
    }

    /// The names that a torch optimizer kept of its parameters, where it was given them.
    static Stream<String> named(ModelStates model) {
        return groups(model.file().root()).orElse(List.of()).stream()
                .flatMap(g -> g.find("param_names").stream())
                .flatMap(n -> n.asSequence().orElse(List.of()).stream())
                .flatMap(n -> n.asText().stream());
    }
}
