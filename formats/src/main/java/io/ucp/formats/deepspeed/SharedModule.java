package io.ucp.formats.deepspeed;

import io.ucp.formats.Coordinate;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.pickle.PickleValue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// A module that layers of a pipeline share, of a job whose files list no parameters.
///
/// Its parameters are `tied_modules.<key>.<suffix>`. The key is what a name in the files has it to
/// be (of a torch optimizer's parameters, of buffers, of the patterns of
/// `universal_checkpoint_info`); where none says it, the number of the first layer.
///
/// @param key as in `TiedLayerSpec(key, ..)`
/// @param said whether a file says the key
/// @param layers that have a file
/// @param copies stages that hold it without a file
record SharedModule(String key, boolean said, Set<Integer> layers, Set<Integer> copies) {
    static final Pattern TIED = Pattern.compile("tied_modules\\.([^.]+)\\.(.+)");

    SharedModule {
        layers = Set.copyOf(layers);
        copies = Set.copyOf(copies);
    }

    /// @param layers that are of the module
    /// @param all what every layer's file holds
    static SharedModule of(
            Set<Integer> layers,
            Map<Integer, Map<String, TensorEntry>> all,
            CheckpointFiles files) {
        int first = new TreeSet<>(layers).first();
        Map<String, TensorEntry> held = all.getOrDefault(first, Map.of());
        Optional<String> key = key(held.keySet(), files);
        return new SharedModule(
                key.orElse(Integer.toString(first)), key.isPresent(), layers, Set.of());
    }

    SharedModule copiedTo(Set<Integer> stages) {
        return new SharedModule(key, said, layers, stages);
    }

    String prefix() {
        return "tied_modules." + key + ".";
    }

    boolean isOn(int stage, Map<Integer, Integer> stages) {
        return copies.contains(stage)
                || layers.stream().anyMatch(l -> stages.getOrDefault(l, -1) == stage);
    }

    /// Where what is found of it is said.
    String place() {
        return "layer_%02d".formatted(first());
    }

    String described() {
        return "the optimizers train it as a module that layers share: taken as `%s*`%s"
                .formatted(
                        prefix(),
                        said
                                ? ""
                                : ", for no file says its key (`rename` in a spec gives another)");
    }

    private int first() {
        return new TreeSet<>(layers).first();
    }

    /// What its layers hold, under its own names.
    List<HeldTensor> parameters(Map<Integer, Map<String, TensorEntry>> all) {
        return parameters(prefix(), all.getOrDefault(first(), Map.of()));
    }

    static List<HeldTensor> parameters(String prefix, Map<String, TensorEntry> held) {
        List<HeldTensor> parameters = new ArrayList<>();
        held.forEach(
                (key, tensor) ->
                        parameters.add(
                                new HeldTensor(
                                        prefix + key, Weights.WEIGHT, Coordinate.NONE, tensor)));
        return parameters;
    }

    /// The one key that names of one kind say for these parameters.
    private static Optional<String> key(Set<String> suffixes, CheckpointFiles files) {
        List<Supplier<Stream<String>>> kinds =
                List.of(
                        () -> files.models().values().stream().flatMap(LayerStages::named),
                        () -> files.models().values().stream().flatMap(m -> m.buffers().stream()),
                        () -> files.models().values().stream().flatMap(SharedModule::patterns));
        for (Supplier<Stream<String>> kind : kinds) {
            Set<String> keys = new TreeSet<>();
            for (String suffix : suffixes) {
                keys(kind.get(), suffix).forEach(keys::add);
            }
            if (!keys.isEmpty()) {
                return keys.size() == 1 ? Optional.of(keys.iterator().next()) : Optional.empty();
            }
        }
        return Optional.empty();
    }

    /// The keys of shared modules that have a parameter or a buffer of that name.
    static Stream<String> keys(Stream<String> names, String suffix) {
        return names.map(TIED::matcher)
                .filter(m -> m.matches() && m.group(2).equals(suffix))
                .map(m -> m.group(1));
    }

    /// Patterns that are names, escaped or not.
    private static Stream<String> patterns(ModelStates model) {
        return Stream.of("pipeline_replicated_parameter_patterns", "vocabulary_parameter_patterns")
                .flatMap(kind -> model.file().root().find(Hints.KEY, kind).stream())
                .flatMap(list -> list.asSequence().orElse(List.of()).stream())
                .flatMap((PickleValue pattern) -> pattern.asText().stream())
                .map(regex -> regex.replace("\\", "").replaceAll("[$^]", ""));
    }
}
