package io.ucp.formats.statedict;

import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.PlainNames;
import io.ucp.formats.torch.TorchContents;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.tensor.Floats;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// The states of an optimizer's dict, bound to parameters where it can be told whose they are: by
/// names, or by order where the only group has as many parameters as the model and every shape
/// agrees.
///
/// @param states parameter -> state -> tensor
/// @param scalars parameter -> state -> value
/// @param groups parameter -> number of its group
/// @param told what was done, or why nothing was
record OptimizerBinding(
        Map<String, Map<String, TensorEntry>> states,
        Map<String, Map<String, Scalar>> scalars,
        Map<String, Integer> groups,
        Optional<String> told) {
    static final OptimizerBinding NONE =
            new OptimizerBinding(Map.of(), Map.of(), Map.of(), Optional.empty());

    /// The keys of a dict of `torch.optim`, and what group each is in.
    private record Ids(Map<Object, String> names, Map<Object, Integer> groups) {}

    private static OptimizerBinding unbound(String why) {
        return new OptimizerBinding(
                Map.of(),
                Map.of(),
                Map.of(),
                Optional.of("the optimizer's states are carried, not bound to parameters: " + why));
    }

    /// @param model parameters without their other names, in the order of the model
    /// @param plain names as saved, and of parameters
    static OptimizerBinding of(
            TorchContents contents,
            PickleValue optimizer,
            Map<String, TensorEntry> model,
            PlainNames plain)
            throws IOException {
        Optional<PyDict> state = optimizer.find("state").flatMap(PickleValue::asDict);
        List<PickleValue> groups =
                optimizer.find("param_groups").flatMap(PickleValue::asSequence).orElse(List.of());
        if (state.isEmpty() || state.get().size() == 0) {
            return NONE;
        }
        Ids ids = ids(groups, plain);
        Optional<String> told = Optional.empty();
        boolean named =
                state.get().entries().stream().allMatch(e -> name(e.key(), ids, plain).isPresent());
        if (!named) {
            Optional<String> not = byOrder(contents, state.get(), groups, model, ids);
            if (not.isPresent()) {
                return unbound(not.get());
            }
            told = Optional.of("the optimizer's states are bound by order: every shape agrees");
        }
        OptimizerBinding bound =
                new OptimizerBinding(
                        new LinkedHashMap<>(), new LinkedHashMap<>(), new LinkedHashMap<>(), told);
        for (PyDict.Entry each : state.get().entries()) {
            String name = name(each.key(), ids, plain).orElseThrow();
            TensorEntry weight = model.get(name);
            Optional<PyDict> held = each.value().asDict();
            if (weight == null || held.isEmpty()) {
                return unbound("'%s' is no parameter of the model".formatted(name));
            }
            if (bound.groups().containsKey(name)) {
                return unbound("two of them are of '%s'".formatted(name));
            }
            Optional<String> other = bound.add(contents, name, weight.shape(), held.get());
            if (other.isPresent()) {
                return unbound(other.get());
            }
            Integer group = ids.groups().get(key(each.key()));
            bound.groups().put(name, group == null ? 0 : group);
        }
        return bound;
    }

    /// @return what has no place in a parameter
    private Optional<String> add(TorchContents contents, String name, Shape shape, PyDict held)
            throws IOException {
        for (PyDict.Entry each : held.entries()) {
            String state = each.key().asText().orElse("");
            Optional<TensorEntry> tensor = contents.tensor(each.value());
            boolean alike = tensor.isPresent() && tensor.get().shape().equals(shape);
            if (!state.isEmpty() && alike && !(state.equals("step") && shape.rank() == 0)) {
                states.computeIfAbsent(name, _ -> new LinkedHashMap<>()).put(state, tensor.get());
                continue;
            }
            Optional<Scalar> scalar = contents.scalar(each.value());
            if (state.isEmpty() || scalar.isEmpty()) {
                return Optional.of(
                        "'%s' of '%s' is neither of the parameter's shape %s nor a number"
                                .formatted(state, name, shape));
            }
            scalars.computeIfAbsent(name, _ -> new LinkedHashMap<>()).put(state, scalar.get());
        }
        return Optional.empty();
    }

    private static Ids ids(List<PickleValue> groups, PlainNames plain) {
        Map<Object, String> names = new LinkedHashMap<>();
        Map<Object, Integer> numbers = new LinkedHashMap<>();
        for (int g = 0; g < groups.size(); g++) {
            List<PickleValue> params = sequence(groups.get(g), "params");
            List<PickleValue> said = sequence(groups.get(g), "param_names");
            for (int i = 0; i < params.size(); i++) {
                Object id = key(params.get(i));
                numbers.put(id, g);
                Optional<String> name =
                        said.size() == params.size() ? said.get(i).asText() : Optional.empty();
                name.map(n -> parameter(n, plain)).ifPresent(n -> names.put(id, n));
            }
        }
        return new Ids(names, numbers);
    }

    private static List<PickleValue> sequence(PickleValue group, String key) {
        return group.find(key).flatMap(PickleValue::asSequence).orElse(List.of());
    }

    /// A name, or a number.
    private static Object key(PickleValue value) {
        OptionalLong number = value.asLong();
        return number.isPresent() ? (Object) number.getAsLong() : value.asText().orElse("");
    }

    private static Optional<String> name(PickleValue key, Ids ids, PlainNames plain) {
        return key.asText()
                .map(text -> parameter(text, plain))
                .or(() -> Optional.ofNullable(ids.names().get(key(key))));
    }

    private static String parameter(String said, PlainNames plain) {
        return plain.find(said).map(plain.plain()::get).orElse(said);
    }

    /// Names the numbers by the order of the model.
    ///
    /// @return why that cannot be proven
    private static Optional<String> byOrder(
            TorchContents contents,
            PyDict state,
            List<PickleValue> groups,
            Map<String, TensorEntry> model,
            Ids ids) {
        List<Map.Entry<String, TensorEntry>> trained = new ArrayList<>();
        for (Map.Entry<String, TensorEntry> each : model.entrySet()) {
            if (Floats.covers(each.getValue().dtype())) {
                trained.add(each);
            }
        }
        if (groups.size() != 1) {
            return Optional.of("%d param_groups without param_names".formatted(groups.size()));
        }
        List<PickleValue> params = sequence(groups.getFirst(), "params");
        if (params.size() != trained.size()) {
            return Optional.of(
                    "it has %d parameters and the model %d"
                            .formatted(params.size(), trained.size()));
        }
        for (int i = 0; i < params.size(); i++) {
            Shape shape = trained.get(i).getValue().shape();
            Optional<PyDict> held = state.find(params.get(i)).flatMap(PickleValue::asDict);
            boolean alike =
                    held.isEmpty()
                            || held.get().entries().stream()
                                    .flatMap(e -> contents.tensor(e.value()).stream())
                                    .allMatch(
                                            t -> t.shape().equals(shape) || t.shape().rank() == 0);
            if (!alike) {
                return Optional.of(
                        "number %d has not the shape %s of '%s'"
                                .formatted(i, shape, trained.get(i).getKey()));
            }
            ids.names().put(key(params.get(i)), trained.get(i).getKey());
        }
        return Optional.empty();
    }
}
