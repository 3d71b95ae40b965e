package io.ucp.formats.megatron;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.mcore.Groups;
import io.ucp.formats.megatron.ModelChunks.Held;
import io.ucp.formats.megatron.Optimizers.Part;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// An optimizer that every data-parallel rank has whole. It numbers its parameters group by group,
/// in the order of the model; with 16-bit weights it has fp32 masters, in lists by group.
///
/// ```
/// {state: {number: {exp_avg, exp_avg_sq}}, param_groups: [{params: [number, ..], step, ..}, ..]}
/// {optimizer: the same, fp32_from_fp16_params: [[tensor, ..], ..]}
/// {optimizer_state_dict: the same, fp32_from_fp16: [[tensor, ..], ..]}        before 2021
/// ```
///
/// Source: Megatron-LM `core/optimizer/optimizer.py` (`Float16OptimizerWithFloat16Params`,
/// `FP32Optimizer`).
final class PlainOptimizer {
    private static final String STEP = "step";

    private final RankFiles files;
    private final Part part;
    private final RankFile file;
    private final PickleValue optimizer;
    private final Optimizers into;

    PlainOptimizer(RankFiles files, Part part, PickleValue optimizer, Optimizers into) {
        this.files = files;
        this.part = part;
        this.file = part.rank().model();
        this.optimizer = optimizer;
        this.into = into;
    }

    /// A group of the file.
    ///
    /// @param numbers of its parameters in the optimizer, in order
    /// @param masters of its parameters as far as the file has them, in order
    private record Group(PyDict settings, List<PickleValue> numbers, List<TensorEntry> masters) {}

    void read() throws IOException {
        PickleValue inner =
                optimizer
                        .find("optimizer")
                        .or(() -> optimizer.find("optimizer_state_dict"))
                        .orElse(optimizer);
        Optional<PyDict> state = inner.find("state").flatMap(PickleValue::asDict);
        if (state.isEmpty() || inner.find("param_groups").isEmpty()) {
            throw new RefusedException(
                    part.label(),
                    "an optimizer that is neither a plain nor a distributed one: "
                            + keys(optimizer),
                    "`state` and `param_groups`, or `optimizer` with them",
                    "save it with --ckpt-format torch_dist, or with --no-save-optim");
        }
        List<Held> parameters = into.parametersOf(part).stream().flatMap(List::stream).toList();
        List<Group> groups = groups(inner);
        Map<Integer, List<Held>> members = match(groups, state.get(), parameters);
        for (int g = 0; g < groups.size(); g++) {
            read(groups.get(g), state.get(), members.getOrDefault(g, List.of()));
        }
    }

    private static String keys(PickleValue value) {
        return value.asDict()
                .map(
                        d ->
                                d.entries().stream()
                                        .limit(8)
                                        .map(e -> e.key().asText().orElse(e.key().toString()))
                                        .toList()
                                        .toString())
                .orElse(value.getClass().getSimpleName());
    }

    private List<Group> groups(PickleValue inner) throws IOException {
        List<PickleValue> settings =
                file.sequence(file.dict(inner, "a dict with `param_groups`"), "param_groups");
        Optional<List<PickleValue>> masters =
                optimizer
                        .find("fp32_from_fp16_params")
                        .or(() -> optimizer.find("fp32_from_fp16"))
                        .flatMap(PickleValue::asSequence);
        if (masters.isPresent() && masters.get().size() != settings.size()) {
            throw file.malformed(
                    "%d lists of masters of %d groups"
                            .formatted(masters.get().size(), settings.size()),
                    "one for each group");
        }
        List<Group> groups = new ArrayList<>();
        for (int g = 0; g < settings.size(); g++) {
            PyDict group = file.dict(settings.get(g), "a dict for each group");
            List<TensorEntry> held = new ArrayList<>();
            for (PickleValue node :
                    masters.isEmpty()
                            ? List.<PickleValue>of()
                            : masters.get().get(g).asSequence().orElse(List.of())) {
                Optional<TensorEntry> tensor = file.tensor(node);
                if (tensor.isEmpty()) {
                    throw file.malformed("a master that is no tensor: " + node, "a tensor");
                }
                held.add(tensor.get());
            }
            groups.add(new Group(group, file.sequence(group, "params"), held));
        }
        return groups;
    }

    /// Which parameters each group has: those that are of one kind, if their number and every shape
    /// are the group's. Every parameter is in one group.
    private Map<Integer, List<Held>> match(List<Group> groups, PyDict state, List<Held> parameters)
            throws IncompleteCheckpointException {
        Groups rule = Groups.of(files.arguments());
        for (Groups tried : List.of(rule, rule.allTogether())) {
            Map<Integer, List<Held>> kinds = split(tried, parameters);
            Map<Integer, List<Held>> matched = new LinkedHashMap<>();
            for (int g = 0; g < groups.size(); g++) {
                Group group = groups.get(g);
                List<List<Held>> fitting =
                        kinds.values().stream()
                                .filter(k -> !matched.containsValue(k))
                                .filter(k -> fits(group, state, k))
                                .toList();
                if (fitting.size() == 1 && !group.numbers.isEmpty()) {
                    matched.put(g, fitting.getFirst());
                }
            }
            if (matched.size() == kinds.size()
                    && matched.size()
                            == groups.stream().filter(g -> !g.numbers.isEmpty()).count()) {
                return matched;
            }
        }
        throw new IncompleteCheckpointException(
                part.label(),
                "groups of %s parameters whose shapes are not those of the model's %d"
                        .formatted(
                                groups.stream().map(g -> g.numbers.size()).toList(),
                                parameters.size()),
                "every parameter in one group, decayed and not decayed ones, in the order of the"
                        + " model",
                "frozen parameters, or groups by rules of one's own, the file does not tell apart:"
                        + " save it with --ckpt-format torch_dist, or with --no-save-optim");
    }

    /// Group -> its members, in the order of the model.
    private Map<Integer, List<Held>> split(Groups rule, List<Held> parameters) {
        Map<Integer, List<Held>> groups = new LinkedHashMap<>();
        for (Held held : parameters) {
            int rank = held.tensor().shape().rank();
            int number = rule.number(held.global(), rank, part.experts());
            groups.computeIfAbsent(number, _ -> new ArrayList<>()).add(held);
        }
        return groups;
    }

    private boolean fits(Group group, PyDict state, List<Held> members) {
        if (group.numbers.size() != members.size()) {
            return false;
        }
        int master = 0;
        boolean masters = !group.masters.isEmpty();
        for (int i = 0; i < members.size(); i++) {
            Shape shape = members.get(i).tensor().shape();
            boolean has = masters && hasMaster(members.get(i));
            if (has
                    && (master >= group.masters.size()
                            || !group.masters.get(master++).shape().equals(shape))) {
                return false;
            }
            for (TensorEntry held : states(state, group.numbers.get(i)).values()) {
                if (held.shape().rank() > 0 && !held.shape().equals(shape)) {
                    return false;
                }
            }
        }
        return master == group.masters.size();
    }

    private static boolean hasMaster(Held parameter) {
        return parameter.tensor().dtype() != DType.FLOAT32;
    }

    private Map<String, TensorEntry> states(PyDict state, PickleValue number) {
        Map<String, TensorEntry> states = new LinkedHashMap<>();
        for (PyDict.Entry e : entries(state, number)) {
            file.tensor(e.value())
                    .ifPresent(t -> states.put(e.key().asText().orElse(e.key().toString()), t));
        }
        return states;
    }

    private static List<PyDict.Entry> entries(PyDict state, PickleValue number) {
        return state.find(number)
                .flatMap(PickleValue::asDict)
                .map(PyDict::entries)
                .orElse(List.of());
    }

    private void read(Group group, PyDict state, List<Held> members) throws IOException {
        Groups rule = Groups.of(files.arguments());
        int master = 0;
        for (int i = 0; i < members.size(); i++) {
            Held held = members.get(i);
            if (!group.masters.isEmpty() && hasMaster(held)) {
                into.add(held, part.rank(), "fp32", group.masters.get(master++));
            }
            Map<String, Scalar> scalars = new LinkedHashMap<>();
            Optional<Scalar> step =
                    group.settings.find(STEP).isPresent()
                            ? file.scalar(group.settings.find(STEP).get())
                            : Optional.empty();
            step.ifPresent(s -> scalars.put(STEP, s));
            for (PyDict.Entry e : entries(state, group.numbers.get(i))) {
                String name = e.key().asText().orElse(e.key().toString());
                Optional<TensorEntry> tensor = file.tensor(e.value());
                if (tensor.isPresent() && tensor.get().shape().rank() > 0) {
                    into.add(held, part.rank(), name, tensor.get());
                } else {
                    file.scalar(e.value()).ifPresent(s -> scalars.put(name, s));
                }
            }
            int number = rule.number(held.global(), held.tensor().shape().rank(), part.experts());
            into.add(held, part.rank(), number, scalars);
        }
    }
}
