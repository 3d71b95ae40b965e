package io.ucp.formats.dcp;

import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.torch.pickle.PickleValue;

import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Stream;

/// Which key is a weight of the model, which a state of the optimizer's for which weight.
///
/// A model's state dict is a flat dict of dotted names inside the nested one, so the path of a key
/// ends with the weight's own name. An optimizer's is `state` and `param_groups` beside each other;
/// below `state` is the name of a weight, or the weight's number, which is a name only where
/// `param_groups` has `param_names` beside `params`. What cannot be told so is left under its full
/// key.
final class Keys {
    private final DistcpMetadata metadata;
    private final Map<String, List<String>> paths = new LinkedHashMap<>();
    private final Map<String, OfTensor> tensors = new LinkedHashMap<>();
    private final Map<String, Weight> weights = new LinkedHashMap<>();
    private final Map<String, State> states = new LinkedHashMap<>();
    private final Set<String> unpaired = new LinkedHashSet<>();
    private final Map<String, Integer> groups = new HashMap<>();
    private final Set<String> optimizers = new LinkedHashSet<>();

    /// @param name of the parameter
    record Weight(String name) {}

    /// @param name of the parameter
    /// @param state of it
    record State(String name, String state) {}

    private Keys(DistcpMetadata metadata) {
        this.metadata = metadata;
    }

    /// @param objects what is pickled under a key
    static Keys of(DistcpMetadata metadata, Function<String, Optional<PickleValue>> objects) {
        Keys keys = new Keys(metadata);
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

    private void read(Function<String, Optional<PickleValue>> objects) {
        for (String key : inOrder()) {
            paths.put(key, path(key));
            if (metadata.entries().get(key) instanceof OfTensor tensor) {
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
        boolean one = used.size() == 1;
        for (String model : used) {
            plain.keySet().stream()
                    .filter(key -> key.startsWith(model))
                    .forEach(
                            key ->
                                    weights.put(
                                            key,
                                            new Weight(one ? key.substring(model.length()) : key)));
        }
        models.forEach(
                (optimizer, model) ->
                        pair(
                                optimizer,
                                model,
                                Optional.ofNullable(grouped.get(optimizer)).orElseThrow()));
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

    /// The model whose weights an optimizer's state names: the prefix of their keys. Of several
    /// that fit alike (a model and its average), the one that is called `model`; else none.
    private Optional<String> modelOf(String optimizer, Groups read, Set<String> plain) {
        List<String> keys = stateKeys(optimizer).toList();
        Map<String, Long> fits = new LinkedHashMap<>();
        for (String model : prefixes(plain)) {
            long paired =
                    keys.stream()
                            .filter(key -> split(optimizer, model, read, key, plain).isPresent())
                            .count();
            if (paired > 0) {
                fits.put(model, paired);
            }
        }
        long most = fits.values().stream().mapToLong(Long::longValue).max().orElse(0);
        List<String> best =
                fits.entrySet().stream()
                        .filter(e -> e.getValue() == most)
                        .map(Map.Entry::getKey)
                        .toList();
        if (best.size() < 2) {
            return best.stream().findFirst();
        }
        List<String> named = best.stream().filter(Keys::isCalledModel).toList();
        return named.size() == 1 ? Optional.of(named.getFirst()) : Optional.empty();
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

    /// The weight's name and the state's, from the longest name that is one.
    private static Optional<State> split(
            String optimizer, String model, Groups groups, String key, Set<String> plain) {
        String rest = key.substring(optimizer.length() + "state.".length());
        for (int dot = rest.lastIndexOf('.'); dot > 0; dot = rest.lastIndexOf('.', dot - 1)) {
            String name = rest.substring(0, dot);
            String state = rest.substring(dot + 1);
            if (plain.contains(model + name)) {
                return Optional.of(new State(name, state));
            }
            Optional<String> numbered =
                    groups.named(name).filter(other -> plain.contains(model + other));
            if (numbered.isPresent()) {
                return Optional.of(new State(numbered.get(), state));
            }
        }
        return Optional.empty();
    }

    private void pair(String optimizer, String model, Groups read) {
        Set<String> weightKeys = weights.keySet();
        Set<State> taken = new LinkedHashSet<>(states.values());
        stateKeys(optimizer)
                .forEach(
                        key -> {
                            Optional<State> state =
                                    split(optimizer, model, read, key, weightKeys)
                                            .map(s -> renamed(model, s));
                            if (state.isPresent() && taken.add(state.get())) {
                                states.put(key, state.get());
                            } else {
                                unpaired.add(key);
                            }
                        });
        read.members()
                .forEach(
                        (name, group) -> {
                            Weight weight = weights.get(model + name);
                            if (weight != null) {
                                groups.put(weight.name(), group);
                            }
                        });
    }

    private State renamed(String model, State state) {
        Weight weight = Optional.ofNullable(weights.get(model + state.name())).orElseThrow();
        return new State(weight.name(), state.state());
    }
}
