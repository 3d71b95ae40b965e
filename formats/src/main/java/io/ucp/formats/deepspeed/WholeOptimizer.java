package io.ucp.formats.deepspeed;

import io.ucp.formats.Finding;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.OptimizerMember;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.deepspeed.writing.ExpertSplit;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;

/// The optimizer of a job without ZeRO, whose state is in the model states under `optimizer`:
/// torch's own dict where the weights are fp32; where they are 16-bit, that inside a dict with the
/// fp32 masters, which `FP16_Optimizer` lays end to end, a group each (`fp32_groups_flat`), and
/// `FP16_UnfusedOptimizer` keeps by parameter (`fp32_groups`).
///
/// Of a job with experts, each expert-parallel rank has a file of its own ([ExpertOptimizers]).
///
/// None of them names its parameters; [WholeMembers] finds which they are. Where that is not
/// certain, the weights are the truth, and the optimizer stays in the file as it is.
///
/// Source: DeepSpeed `runtime/engine.py` (`_do_optimizer_sanity_check`,
/// `_common_checkpoint_state`), `runtime/fp16/fused_optimizer.py`,
/// `runtime/fp16/unfused_optimizer.py`.
///
/// @param tensors states, masters included
/// @param members their groups and numbers
record WholeOptimizer(List<HeldTensor> tensors, List<OptimizerMember> members) {
    private static final String MASTER = "fp32";

    private static final WholeOptimizer NONE = new WholeOptimizer(List.of(), List.of());

    /// The optimizer in a file, and what the rank that wrote it trains.
    private record Source(
            CheckpointFile file,
            PickleValue optimizer,
            List<HeldTensor> dense,
            Optional<List<HeldTensor>> experts) {}

    /// @param experts how they divide the ranks
    static WholeOptimizer read(
            CheckpointFiles files,
            Degrees degrees,
            Weights weights,
            GroupHolders.Experts experts,
            List<Finding> findings)
            throws IOException {
        List<Source> sources =
                !files.optimizers().isEmpty()
                        ? List.of()
                        : experts.ep() > 0
                                ? ofExperts(files, degrees, weights, experts)
                                : ofModels(files, degrees, weights);
        WholeOptimizer all = new WholeOptimizer(new ArrayList<>(), new ArrayList<>());
        boolean complete = true;
        for (Source source : sources) {
            Optional<WholeOptimizer> held = new Reader(source.file, source.optimizer).read(source);
            held.ifPresent(all::add);
            complete &= held.isPresent();
            tell(source.file, held.isPresent(), findings);
        }
        return complete ? all : NONE;
    }

    /// Whether the groups of an optimizer in the model states hold these parameters.
    ///
    /// @param parameters in the model's order
    static boolean fits(CheckpointFile file, List<HeldTensor> parameters) {
        return optimizer(file)
                .map(o -> new Reader(file, o))
                .filter(r -> r.members(r.groups(), parameters, List.of()).isPresent())
                .isPresent();
    }

    private void add(WholeOptimizer other) {
        tensors.addAll(other.tensors);
        members.addAll(other.members);
    }

    private static List<Source> ofModels(CheckpointFiles files, Degrees degrees, Weights weights)
            throws IOException {
        List<Source> sources = new ArrayList<>();
        for (int mp = 0; mp < degrees.mp(); mp++) {
            CheckpointFile file = files.model(mp).file();
            List<HeldTensor> own = weights.trained(degrees.at(mp));
            optimizer(file)
                    .ifPresent(o -> sources.add(new Source(file, o, own, Optional.of(List.of()))));
        }
        return sources;
    }

    private static List<Source> ofExperts(
            CheckpointFiles files, Degrees degrees, Weights weights, GroupHolders.Experts experts) {
        ExpertOptimizers ranks = new ExpertOptimizers(degrees, experts);
        List<Source> sources = new ArrayList<>();
        for (CheckpointFile file : files.expertOptimizers()) {
            int mp = ((FileName.ExpertOptimizer) file.name()).mp();
            List<HeldTensor> dense = weights.trained(degrees.at(mp));
            optimizer(file)
                    .ifPresent(
                            o ->
                                    sources.add(
                                            new Source(
                                                    file, o, dense, ranks.experts(file, weights))));
        }
        return sources;
    }

    private static Optional<PickleValue> optimizer(CheckpointFile file) {
        return file.root().find("optimizer").filter(v -> !v.isNone());
    }

    private static void tell(CheckpointFile file, boolean taken, List<Finding> findings) {
        findings.add(
                new Finding(
                        file.label(),
                        taken
                                ? "the optimizer numbers its parameters: taken in the model's"
                                        + " order, which every shape fits"
                                : "the optimizer of a job without ZeRO does not name its"
                                        + " parameters: it stays in the file as it is, the weights"
                                        + " are taken"));
    }

    /// One file's.
    private static final class Reader {
        private final CheckpointFile file;
        private final PickleValue base;
        private final Optional<List<PickleValue>> flat;
        private final Optional<List<PickleValue>> each;
        private final List<HeldTensor> tensors = new ArrayList<>();
        private final List<OptimizerMember> members = new ArrayList<>();

        Reader(CheckpointFile file, PickleValue optimizer) {
            this.file = file;
            this.flat = optimizer.find("fp32_groups_flat").flatMap(PickleValue::asSequence);
            this.each = optimizer.find("fp32_groups").flatMap(PickleValue::asSequence);
            boolean wrapped = flat.isPresent() || each.isPresent();
            this.base =
                    wrapped
                            ? optimizer.find("optimizer_state_dict").orElse(PyDict.empty())
                            : optimizer;
        }

        Optional<WholeOptimizer> read(Source source) throws IOException {
            List<PickleValue> groups = groups();
            Optional<List<List<HeldTensor>>> of =
                    source.experts.flatMap(experts -> members(groups, source.dense, experts));
            if (of.isEmpty() || of.get().size() != groups.size()) {
                return Optional.empty();
            }
            for (int g = 0; g < groups.size(); g++) {
                boolean taken =
                        flat.isPresent()
                                ? takeFlat(g, groups.get(g), of.get().get(g))
                                : takeEach(g, groups.get(g), of.get().get(g));
                if (!taken) {
                    return Optional.empty();
                }
            }
            return tensors.isEmpty() || !allStatesAreOf(groups)
                    ? Optional.empty()
                    : Optional.of(new WholeOptimizer(tensors, members));
        }

        private boolean allStatesAreOf(List<PickleValue> groups) {
            Set<Long> numbers = new HashSet<>();
            groups.forEach(g -> numbers.addAll(WholeMembers.numbers(g)));
            return base.find("state").flatMap(PickleValue::asDict).stream()
                    .flatMap(states -> states.entries().stream())
                    .allMatch(e -> numbers.contains(e.key().asLong().orElse(-1)));
        }

        private List<PickleValue> groups() {
            return base.find("param_groups").flatMap(PickleValue::asSequence).orElse(List.of());
        }

        /// Experts are in groups of their own, and no other parameter is.
        private Optional<List<List<HeldTensor>>> members(
                List<PickleValue> groups, List<HeldTensor> dense, List<HeldTensor> experts) {
            List<Integer> ofExperts = new ArrayList<>();
            List<Integer> others = new ArrayList<>();
            for (int g = 0; g < groups.size(); g++) {
                boolean expert = !experts.isEmpty() && ExpertSplit.isExpert(groups.get(g));
                (expert ? ofExperts : others).add(g);
            }
            Map<Integer, List<HeldTensor>> found = new TreeMap<>();
            boolean known =
                    members(groups, others, dense, found)
                            && (ofExperts.isEmpty() == experts.isEmpty())
                            && (experts.isEmpty() || members(groups, ofExperts, experts, found));
            return known ? Optional.of(List.copyOf(found.values())) : Optional.empty();
        }

        /// @param numbers of the groups that the parameters are divided over
        private boolean members(
                List<PickleValue> groups,
                List<Integer> numbers,
                List<HeldTensor> parameters,
                Map<Integer, List<HeldTensor>> found) {
            List<PickleValue> own = numbers.stream().map(groups::get).toList();
            Optional<List<List<HeldTensor>>> of =
                    flat.isPresent()
                            ? WholeMembers.byElements(
                                    numbers.stream().map(this::count).toList(), own, parameters)
                            : WholeMembers.byNumber(
                                    own,
                                    (g, at, number) -> shape(numbers.get(g), at, number),
                                    parameters);
            for (int i = 0; of.isPresent() && i < numbers.size(); i++) {
                found.put(numbers.get(i), of.get().get(i));
            }
            return of.isPresent() && of.get().size() == numbers.size();
        }

        private long count(int group) {
            return flat.filter(f -> group < f.size())
                    .flatMap(f -> file.tensor(f.get(group)))
                    .map(t -> t.shape().count())
                    .orElse(-1L);
        }

        /// What its states look like: those of a parameter that took no step have none.
        private Optional<io.ucp.tensor.Shape> shape(int group, int position, long number) {
            if (each.isPresent()) {
                return master(group, position).map(TensorEntry::shape);
            }
            return state(number)
                    .flatMap(
                            states ->
                                    states.entries().stream()
                                            .flatMap(e -> file.tensor(e.value()).stream())
                                            .map(TensorEntry::shape)
                                            .filter(s -> s.rank() > 0)
                                            .findFirst());
        }

        private Optional<TensorEntry> master(int group, int position) {
            return each.filter(groups -> group < groups.size())
                    .flatMap(groups -> groups.get(group).asSequence())
                    .filter(masters -> position < masters.size())
                    .flatMap(masters -> file.tensor(masters.get(position)));
        }

        private Optional<PyDict> state(long number) {
            return base.find("state")
                    .flatMap(PickleValue::asDict)
                    .flatMap(d -> d.find(number))
                    .flatMap(PickleValue::asDict);
        }

        private boolean takeEach(int group, PickleValue paramGroup, List<HeldTensor> of)
                throws IOException {
            List<Long> numbers = WholeMembers.numbers(paramGroup);
            for (int i = 0; i < of.size(); i++) {
                HeldTensor parameter = of.get(i);
                Optional<TensorEntry> master = master(group, i);
                if (each.isPresent()) {
                    if (master.isEmpty() || !master.get().shape().equals(parameter.shape())) {
                        return false;
                    }
                    tensors.add(
                            new HeldTensor(parameter.name(), MASTER, parameter.at(), master.get()));
                }
                Map<String, Scalar> scalars = step(paramGroup);
                Optional<PyDict> states = state(numbers.get(i));
                if (states.isPresent() && !take(states.get(), parameter, scalars)) {
                    return false;
                }
                members.add(new OptimizerMember(parameter.name(), parameter.at(), group, scalars));
            }
            return true;
        }

        /// False where a state does not fit the parameter.
        private boolean take(PyDict states, HeldTensor parameter, Map<String, Scalar> scalars)
                throws IOException {
            for (PyDict.Entry entry : states.entries()) {
                String state = entry.key().asText().orElse(entry.key().toString());
                Optional<Scalar> scalar = file.scalar(entry.value());
                Optional<TensorEntry> tensor = file.tensor(entry.value());
                if (scalar.isPresent()) {
                    scalars.put(state, scalar.get());
                } else if (tensor.isPresent() && tensor.get().shape().equals(parameter.shape())) {
                    tensors.add(
                            new HeldTensor(parameter.name(), state, parameter.at(), tensor.get()));
                } else if (!entry.value().isNone()) {
                    return false;
                }
            }
            return true;
        }

        private boolean takeFlat(int group, PickleValue paramGroup, List<HeldTensor> of)
                throws IOException {
            Map<String, TensorEntry> flats = new LinkedHashMap<>();
            file.tensor(flat.orElseThrow().get(group)).ifPresent(t -> flats.put(MASTER, t));
            Map<String, Scalar> scalars = step(paramGroup);
            List<Long> numbers = WholeMembers.numbers(paramGroup);
            Optional<PyDict> states =
                    numbers.size() == 1 ? state(numbers.getFirst()) : Optional.empty();
            for (PyDict.Entry entry : states.map(PyDict::entries).orElse(List.of())) {
                String state = entry.key().asText().orElse(entry.key().toString());
                Optional<Scalar> scalar = file.scalar(entry.value());
                Optional<TensorEntry> tensor = file.tensor(entry.value());
                if (scalar.isPresent()) {
                    scalars.put(state, scalar.get());
                } else if (tensor.isPresent()) {
                    flats.put(state, tensor.get());
                } else if (!entry.value().isNone()) {
                    return false;
                }
            }
            long count = of.stream().mapToLong(t -> t.shape().count()).sum();
            for (Map.Entry<String, TensorEntry> state : flats.entrySet()) {
                if (!state.getValue().isDense() || state.getValue().shape().count() != count) {
                    return false;
                }
                cut(state.getKey(), state.getValue(), of);
            }
            of.forEach(p -> members.add(new OptimizerMember(p.name(), p.at(), group, scalars)));
            return true;
        }

        /// End to end, without padding.
        private void cut(String state, TensorEntry flat, List<HeldTensor> of) {
            long offset = flat.offset();
            for (HeldTensor parameter : of) {
                var shape = parameter.shape();
                tensors.add(
                        new HeldTensor(
                                parameter.name(),
                                state,
                                parameter.at(),
                                TensorEntry.dense(flat.source(), offset, flat.dtype(), shape)));
                offset += Math.multiplyExact(shape.count(), (long) flat.dtype().width());
            }
        }

        /// FusedAdam keeps the step with the hyperparameters too: the states' own is the one taken.
        private Map<String, Scalar> step(PickleValue paramGroup) throws IOException {
            Map<String, Scalar> scalars = new LinkedHashMap<>();
            OptionalLong none = OptionalLong.empty();
            Optional<PickleValue> step = paramGroup.find("step");
            if (step.isPresent() && !step.get().asLong().equals(none)) {
                file.scalar(step.get()).ifPresent(s -> scalars.put("step", s));
            }
            return scalars;
        }
    }
}
