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
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// A module that layers of a pipeline share, of a job whose files list no parameters.
///
/// Its parameters are `tied_modules.<key>.<suffix>`. The key is what a name in the files has it to
/// be (of a torch optimizer's parameters, of the patterns of `universal_checkpoint_info`); where
/// none says it, the number of the first layer.
///
/// @param key as in `TiedLayerSpec(key, ..)`
/// @param said whether a file says the key
/// @param layers that have a file
/// @param copies stages that hold it without a file
record SharedModule(String key, boolean said, Set<Integer> layers, Set<Integer> copies) {
    private static final String REPLICATED = "pipeline_replicated_parameter_patterns";
    private static final Pattern TIED = Pattern.compile("tied_modules\\.([^.]+)\\.(.+)");

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

    /// The layer that has what `pipeline_replicated_parameter_patterns` says of a shared module,
    /// where one does.
    static List<Set<Integer>> said(
            Map<Integer, Map<String, TensorEntry>> all, CheckpointFiles files) {
        Set<String> suffixes = new TreeSet<>();
        files.models().values().stream()
                .flatMap(m -> patterns(m, REPLICATED))
                .map(TIED::matcher)
                .filter(Matcher::matches)
                .forEach(m -> suffixes.add(m.group(2)));
        List<Set<Integer>> having = new ArrayList<>();
        all.forEach(
                (number, held) -> {
                    if (!suffixes.isEmpty() && held.keySet().containsAll(suffixes)) {
                        having.add(Set.of(number));
                    }
                });
        return having;
    }

    /// Whether a list of the files says what layers share, if only that they do not.
    static boolean isSaid(ModelStates model) {
        return model.file().root().find(Hints.KEY, REPLICATED).isPresent();
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
                .formatted(prefix(), said ? "" : ", for no file says its key");
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
        List<String> named = new ArrayList<>();
        List<String> replicated = new ArrayList<>();
        List<String> ofVocabulary = new ArrayList<>();
        for (ModelStates model : files.models().values()) {
            LayerStages.named(model).forEach(named::add);
            patterns(model, REPLICATED).forEach(replicated::add);
            patterns(model, "vocabulary_parameter_patterns").forEach(ofVocabulary::add);
        }
        for (List<String> kind : List.of(named, replicated, ofVocabulary)) {
            Set<String> keys = new TreeSet<>();
            suffixes.forEach(suffix -> keys(kind.stream(), suffix).forEach(keys::add));
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
    private static Stream<String> patterns(ModelStates model, String kind) {
        return model
                .file()
                .root()
                .find(Hints.KEY, kind)
                .flatMap(PickleValue::asSequence)
                .orElse(List.of())
                .stream()
                .flatMap(pattern -> pattern.asText().stream())
                .map(regex -> regex.replace("\\", "").replaceAll("[$^]", ""));
    }
}
