package io.ucp.formats.dcp;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.torch.PlainNames;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.io.MalformedFileException;

import java.nio.file.Path;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Stream;

/// Which key is a weight of the model, which a state of the optimizer's for which weight.
///
/// A model's state dict is a flat dict of dotted names inside the nested one, so the path of a key
/// ends with the weight's own name. An optimizer's is `state` and `param_groups` beside each other;
/// below `state` is the name of a weight, or the weight's number, which is a name only where
/// `param_groups` has `param_names` beside `params`. What cannot be told so is left under its full
/// key. What wrappers of modules put in names is no part of a parameter's; model and optimizer may
/// differ in it.
final class Keys {
    private final Path folder;
    private final DistcpMetadata metadata;
    private final Map<String, List<String>> paths = new LinkedHashMap<>();
    private final Map<String, OfTensor> tensors = new LinkedHashMap<>();
    private final Map<String, Weight> weights = new LinkedHashMap<>();
    private final Map<String, State> states = new LinkedHashMap<>();
    private final Set<String> unpaired = new LinkedHashSet<>();
    private final Map<String, Integer> groups = new HashMap<>();
    private final Set<String> optimizers = new LinkedHashSet<>();
    private final Set<String> wrappers = new TreeSet<>();

    /// @param name of the parameter
    record Weight(String name) {}

    /// @param name of the parameter
    /// @param state of it
    record State(String name, String state) {}

    private Keys(Path folder, DistcpMetadata metadata) {
        this.folder = folder;
        this.metadata = metadata;
    }

    /// @param objects what is pickled under a key
    /// @throws IncompleteCheckpointException where two keys are one name without wrappers
    /// @throws MalformedFileException where a parameter holds many that FSDP laid end to end
    static Keys of(
            Path folder, DistcpMetadata metadata, Function<String, Optional<PickleValue>> objects)
            throws IncompleteCheckpointException, MalformedFileException {
        Keys keys = new Keys(folder, metadata);
        keys.read(objects);
        return keys;
    }

    /// Tensor keys that are weights of the model.
    Map<String, Weight> weights() {
        return Collections.unmodifiableMap(weights);
    }

    /// Keys, of tensors and of numbers, that are states of a weight.
    Map<String, State> states() {
        return Collections.unmodifiableMap(states);
    }

    /// Parts of wrappers that names are read without.
    Set<String> wrappers() {
        return Collections.unmodifiableSet(wrappers);
    }

    /// Keys of an optimizer's state that no weight could be found for.
    Set<String> unpaired() {
        return Collections.unmodifiableSet(unpaired);
    }

    /// Parameter -> number of its optimizer group.
    Map<String, Integer> groups() {
        return Collections.unmodifiableMap(groups);
    }

    boolean hasOptimizer() {
        return !optimizers.isEmpty();
    }

    /// All keys, in the order of the state dict where that is known.
    List<String> inOrder() {
        Set<String> order = new LinkedHashSet<>();
        metadata.planner()
                .ifPresent(
                        planner ->
                                planner.entries().stream()
                                        .flatMap(e -> e.key().asText().stream())
                                        .filter(metadata.entries()::containsKey)
                                        .forEach(order::add));
        order.addAll(metadata.entries().keySet());
        return List.copyOf(order);
    }

    private void read(Function<String, Optional<PickleValue>> objects)
            throws IncompleteCheckpointException, MalformedFileException {
        for (String key : inOrder()) {
            paths.put(key, path(key));
            if (metadata.entries().get(key) instanceof OfTensor tensor) {
                requireParameter(key);
                tensors.put(key, tensor);
            }
        }
        Set<String> candidates = optimizerPrefixes();
        Map<String, OfTensor> plain = new LinkedHashMap<>(tensors);
        plain.keySet().removeIf(key -> candidates.stream().anyMatch(p -> isState(key, p)));
        Map<String, Groups> grouped = new TreeMap<>();
        Map<String, String> models = new LinkedHashMap<>();
        for (String optimizer : candidates) {
            Groups read = Groups.of(optimizer, metadata.entries().keySet(), objects);
            grouped.put(optimizer, read);
            Optional<String> model = modelOf(optimizer, read, plain.keySet());
            model.ifPresent(m -> models.put(optimizer, m));
            if (model.isEmpty() && hasGroups(optimizer)) {
                stateKeys(optimizer).filter(tensors::containsKey).forEach(unpaired::add);
            }
        }
        // State of nothing that is known: these are tensors like others.
        for (String key : tensors.keySet()) {
            if (!plain.containsKey(key)
                    && models.keySet().stream().noneMatch(p -> isState(key, p))) {
                plain.put(key, tensors.get(key));
            }
        }
        optimizers.addAll(models.keySet());
        Set<String> used = new LinkedHashSet<>(models.values());
        if (used.isEmpty()) {
            used.add(modelAlone(plain));
        }
        Map<String, PlainNames> names = new LinkedHashMap<>();
        for (String model : used) {
            names.put(model, name(model, used.size() == 1 ? "" : model, plain.keySet()));
        }
        for (Map.Entry<String, String> e : models.entrySet()) {
            PlainNames known = Optional.ofNullable(names.get(e.getValue())).orElseThrow();
            Groups groups = Optional.ofNullable(grouped.get(e.getKey())).orElseThrow();
            pair(e.getKey(), new Model(e.getValue(), known::find), groups);
        }
    }

    /// The keys of a model become the weights of its parameters.
    ///
    /// @param before what stands before the parameters' names
    private PlainNames name(String model, String before, Set<String> keys)
            throws IncompleteCheckpointException {
        PlainNames names = PlainNames.of(names(model, keys));
        names.requireApart(folder.toString(), name -> model + name);
        names.plain().forEach((name, p) -> weights.put(model + name, new Weight(before + p)));
        wrappers.addAll(names.removed());
        return names;
    }

    private static List<String> names(String model, Set<String> keys) {
        return keys.stream()
                .filter(key -> key.startsWith(model) && key.length() > model.length())
                .map(key -> key.substring(model.length()))
                .toList();
    }

    private void requireParameter(String key) throws MalformedFileException {
        if (PlainNames.isFlat(key)) {
            throw new MalformedFileException(
                    folder.resolve(DistcpMetadata.FILE),
                    -1,
                    "'%s', in which FSDP keeps many parameters end to end".formatted(key),
                    "parameters by their names",
                    "load it in the job that saved it, and save with"
                            + " StateDictType.SHARDED_STATE_DICT or get_state_dict");
        }
    }

    private List<String> path(String key) {
        return metadata.planner()
                .flatMap(planner -> planner.find(key))
                .flatMap(PickleValue::asSequence)
                .map(path -> path.stream().map(Keys::element).toList())
                .filter(path -> String.join(".", path).equals(key))
                .orElse(List.of(key));
    }

    private static String element(PickleValue element) {
        return element.asText().orElseGet(element::toString);
    }

    /// Keys of an optimizer begin so, with `state.` behind it: where `param_groups` stands beside,
    /// or where a path has `state` as a step of its own.
    private Set<String> optimizerPrefixes() {
        Set<String> found = new LinkedHashSet<>();
        for (String key : paths.keySet()) {
            for (int at = step(key, "param_groups", 0); at >= 0; ) {
                found.add(key.substring(0, at));
                at = step(key, "param_groups", at + 1);
            }
        }
        for (Map.Entry<String, List<String>> e : paths.entrySet()) {
            List<String> path = e.getValue();
            for (int i = 0; i + 2 < path.size(); i++) {
                if (path.get(i).equals("state")) {
                    found.add(
                            String.join(
                                    "", path.subList(0, i).stream().map(s -> s + ".").toList()));
                }
            }
        }
        return found;
    }

    /// Where a dotted key has this step, or -1.
    private static int step(String key, String name, int from) {
        for (int at = key.indexOf(name, from); at >= 0; at = key.indexOf(name, at + 1)) {
            boolean begins = at == 0 || key.charAt(at - 1) == '.';
            int end = at + name.length();
            if (begins && (end == key.length() || key.charAt(end) == '.')) {
                return at;
            }
        }
        return -1;
    }

    private boolean hasGroups(String optimizer) {
        String groups = optimizer + "param_groups";
        return paths.keySet().stream()
                .anyMatch(key -> key.equals(groups) || key.startsWith(groups + "."));
    }

    private static boolean isState(String key, String optimizer) {
        return key.startsWith(optimizer + "state.");
    }

    private Stream<String> stateKeys(String optimizer) {
        return paths.keySet().stream().filter(key -> isState(key, optimizer));
    }

    /// The dict of a model, and its names by what an optimizer calls them.
    ///
    /// @param prefix its keys begin so
    private record Model(String prefix, Function<String, Optional<String>> names) {}

    /// The model whose weights an optimizer's state names: the prefix of their keys. Names that are
    /// the same letter by letter come before those that differ in wrappers. Of several that fit
    /// alike (a model and its average), the one that is called `model`; else none.
    private Optional<String> modelOf(String optimizer, Groups read, Set<String> plain) {
        Set<String> prefixes = prefixes(plain);
        List<String> best =
                fitting(
                        optimizer,
                        read,
                        prefixes,
                        prefix ->
                                name -> Optional.of(name).filter(n -> plain.contains(prefix + n)));
        if (best.isEmpty()) {
            best =
                    fitting(
                            optimizer,
                            read,
                            prefixes,
                            prefix -> PlainNames.of(names(prefix, plain))::find);
        }
        if (best.size() < 2) {
            return best.stream().findFirst();
        }
        List<String> named = best.stream().filter(Keys::isCalledModel).toList();
        return named.size() == 1 ? Optional.of(named.getFirst()) : Optional.empty();
    }

    /// Prefixes of the models that most of an optimizer's keys are of.
    private List<String> fitting(
            String optimizer,
            Groups read,
            Set<String> prefixes,
            Function<String, Function<String, Optional<String>>> names) {
        List<String> keys = stateKeys(optimizer).toList();
        Map<String, Long> fits = new LinkedHashMap<>();
        for (String prefix : prefixes) {
            Model model = new Model(prefix, names.apply(prefix));
            long paired =
                    keys.stream()
                            .filter(key -> split(optimizer, model, read, key).isPresent())
                            .count();
            if (paired > 0) {
                fits.put(prefix, paired);
            }
        }
        long most = fits.values().stream().mapToLong(Long::longValue).max().orElse(0);
        return fits.entrySet().stream()
                .filter(e -> e.getValue() == most)
                .map(Map.Entry::getKey)
                .toList();
    }

    private static boolean isCalledModel(String prefix) {
        return prefix.equals("model.") || prefix.endsWith(".model.");
    }

    /// Of weights alone: the one dict that they are in, else the one called `model`, else the whole
    /// state dict.
    private String modelAlone(Map<String, OfTensor> plain) {
        Set<String> dicts = new LinkedHashSet<>();
        plain.forEach(
                (key, tensor) -> {
                    if (tensor.shape().rank() > 0) {
                        dicts.add(dict(key));
                    }
                });
        if (dicts.size() == 1) {
            return dicts.iterator().next();
        }
        List<String> named = dicts.stream().filter(Keys::isCalledModel).toList();
        return named.size() == 1 ? named.getFirst() : "";
    }

    private Set<String> prefixes(Set<String> plain) {
        Set<String> found = new LinkedHashSet<>();
        plain.forEach(key -> found.add(dict(key)));
        found.add("");
        return found;
    }

    /// The keys of the dict that holds this one begin so.
    private String dict(String key) {
        String last = Optional.ofNullable(paths.get(key)).orElseThrow().getLast();
        return key.substring(0, key.length() - last.length());
    }

    /// The weight's name as its key has it, and the state's, from the longest name that is one.
    private static Optional<State> split(String optimizer, Model model, Groups groups, String key) {
        String rest = key.substring(optimizer.length() + "state.".length());
        for (int dot = rest.lastIndexOf('.'); dot > 0; dot = rest.lastIndexOf('.', dot - 1)) {
            String name = rest.substring(0, dot);
            String state = rest.substring(dot + 1);
            Optional<String> known =
                    model.names().apply(name).or(() -> groups.named(name).flatMap(model.names()));
            if (known.isPresent()) {
                return Optional.of(new State(known.get(), state));
            }
        }
        return Optional.empty();
    }

    private void pair(String optimizer, Model model, Groups read)
            throws IncompleteCheckpointException {
        Set<State> others = new LinkedHashSet<>(states.values());
        Map<State, String> own = new HashMap<>();
        for (String key : stateKeys(optimizer).toList()) {
            Optional<State> state =
                    split(optimizer, model, read, key).map(s -> renamed(model.prefix(), s));
            String twin = state.isEmpty() ? null : own.putIfAbsent(state.get(), key);
            if (twin != null) {
                throw new IncompleteCheckpointException(
                        folder.toString(),
                        "'%s' and '%s' are both '%s' of '%s'"
                                .formatted(twin, key, state.get().state(), state.get().name()),
                        "each state of a parameter once",
                        "save the optimizer's state again, with one spelling of each name");
            }
            if (state.isPresent() && !others.contains(state.get())) {
                states.put(key, state.get());
            } else {
                unpaired.add(key);
            }
        }
        for (Map.Entry<String, Integer> member : read.members().entrySet()) {
            model.names()
                    .apply(member.getKey())
                    .map(name -> weights.get(model.prefix() + name))
                    .ifPresent(weight -> groups.put(weight.name(), member.getValue()));
        }
    }

    private State renamed(String model, State state) {
        Weight weight = Optional.ofNullable(weights.get(model + state.name())).orElseThrow();
        return new State(weight.name(), state.state());
    }
}
