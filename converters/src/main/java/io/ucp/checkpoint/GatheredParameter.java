package io.ucp.checkpoint;

import io.ucp.bind.BoundParameter;
import io.ucp.bind.Shard;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.io.ByteSource;
import io.ucp.layout.Replica;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;

/// A parameter while its spans are being collected.
final class GatheredParameter {
    /// The master first, then the optimizer's states, the model's own copy last.
    private static final Comparator<String> STATE_ORDER =
            Comparator.comparingInt((String s) -> s.equals("fp32") ? 0 : s.equals("weight") ? 2 : 1)
                    .thenComparing(Comparator.naturalOrder());

    private final BoundParameter bound;
    private final Map<String, List<Span>> states = new TreeMap<>(STATE_ORDER);
    private final Map<String, Wholes> wholes = new HashMap<>();
    private final Map<String, Scalar> scalars = new TreeMap<>();
    private int optimizerGroup = -1;
    private @Nullable Coordinate scalarPlace;
    private Coordinate groupPlace = Coordinate.NONE;

    GatheredParameter(BoundParameter bound) {
        this.bound = bound;
    }

    void add(Span span) {
        states.computeIfAbsent(span.of().state(), _ -> new ArrayList<>()).add(span);
    }

    /// A shard that is a tensor of its own. Where the same rank's files hold it more than once
    /// (under a tied name, or as a frozen fragment beside the module), the further ones are
    /// replicas; the same bytes under two names are one holding.
    void addWhole(Span span) {
        Wholes held =
                wholes.computeIfAbsent(
                        span.of().state(),
                        state -> Wholes.of(states.getOrDefault(state, List.of())));
        if (!held.lying().add(Lying.of(span))) {
            return;
        }
        int copy = span.copy();
        while (!held.slots().add(new Slot(copy, span.of().pieces()))) {
            copy += bound.copies(span.of().state()).size();
        }
        add(new Span(span.tensor(), span.offset(), copy, span.of()));
    }

    /// What is held of a state, to be looked up: thousands of ranks may hold a replica each.
    private record Wholes(Set<Lying> lying, Set<Slot> slots) {
        static Wholes of(List<Span> spans) {
            Wholes wholes = new Wholes(new HashSet<>(), new HashSet<>());
            for (Span span : spans) {
                wholes.lying.add(Lying.of(span));
                wholes.slots.add(new Slot(span.copy(), span.of().pieces()));
            }
            return wholes;
        }
    }

    /// Which elements a tensor holds, and where it lies.
    ///
    /// @param strides none where it is dense
    private record Lying(
            ByteSource source,
            long offset,
            DType dtype,
            Shape shape,
            List<Long> strides,
            List<Piece> pieces) {
        static Lying of(Span span) {
            TensorEntry tensor = span.tensor();
            return new Lying(
                    tensor.source(),
                    tensor.offset(),
                    tensor.dtype(),
                    tensor.shape(),
                    tensor.isDense() ? List.of() : Arrays.stream(tensor.strides()).boxed().toList(),
                    span.of().pieces());
        }
    }

    /// Elements of a copy.
    private record Slot(int copy, List<Piece> pieces) {}

    /// All ranks must have it in the same group: its hyperparameters are one set.
    ///
    /// @param number -1 in the groups of frozen parameters
    void optimizerGroup(int number, Coordinate at) throws IncompleteCheckpointException {
        if (number >= 0 && optimizerGroup >= 0 && number != optimizerGroup) {
            throw new IncompleteCheckpointException(
                    bound.name(),
                    "in optimizer group %d at %s and in group %d at %s"
                            .formatted(optimizerGroup, groupPlace, number, at),
                    "one optimizer group on all ranks",
                    "a rank's file is of another save, or the ranks were set up unlike: name each"
                            + " copy apart in a spec");
        }
        if (number >= 0) {
            optimizerGroup = number;
            groupPlace = at;
        }
    }

    /// All ranks must hold the same ones.
    void scalars(Map<String, Scalar> held, Coordinate at) throws IncompleteCheckpointException {
        if (scalarPlace == null) {
            scalarPlace = at;
            scalars.putAll(held);
        }
        if (scalars.equals(held)) {
            return;
        }
        Set<String> names = new TreeSet<>(scalars.keySet());
        names.addAll(held.keySet());
        for (String name : names) {
            Scalar before = scalars.get(name);
            Scalar here = held.get(name);
            if (!Objects.equals(before, here)) {
                throw new IncompleteCheckpointException(
                        "%s: %s".formatted(bound.name(), name),
                        "%s at %s and %s at %s"
                                .formatted(
                                        before == null ? "none" : before,
                                        scalarPlace,
                                        here == null ? "none" : here,
                                        at),
                        "one value on all ranks",
                        "the files are of different steps: copy the checkpoint again as a whole");
            }
        }
    }

    Stream<Span> spans() {
        return states.values().stream().flatMap(List::stream);
    }

    /// The ranks of a stage hold a state all or none (of a tied layer one of the stages may keep
    /// the model's own copy alone), and every copy that the optimizer holds has all of its states;
    /// else a replica would go uncompared.
    private void checkCopies() throws IncompleteCheckpointException {
        Map<String, TreeSet<Integer>> copiesOf = new TreeMap<>(STATE_ORDER);
        states.forEach(
                (state, spans) -> {
                    TreeSet<Integer> copies = new TreeSet<>();
                    int known = bound.copies(state).size();
                    spans.forEach(s -> copies.add(s.copy() % known));
                    copiesOf.put(state, copies);
                });
        Set<Integer> trained = new TreeSet<>();
        copiesOf.forEach((state, copies) -> trained.addAll(isAlone(state) ? Set.of() : copies));
        for (Map.Entry<String, TreeSet<Integer>> held : copiesOf.entrySet()) {
            String state = held.getKey();
            Set<Integer> any = isAlone(state) ? held.getValue() : trained;
            for (int copy : alongside(any, bound.shards(state))) {
                if (!held.getValue().contains(copy)) {
                    throw lacks(state, copy, held.getValue().first());
                }
            }
        }
    }

    /// Whether its copies are no other state's: the model's own, or laid out by a rule of its own.
    private boolean isAlone(String state) {
        return state.equals("weight") || bound.own().containsKey(state);
    }

    /// The copies of the stages that hold any of `held`, and under the same names.
    private static Set<Integer> alongside(Set<Integer> held, List<Shard> shards) {
        Set<StageName> stages = new HashSet<>();
        for (Shard shard : shards) {
            if (held.contains(shard.copy())) {
                stages.add(StageName.of(shard));
            }
        }
        Set<Integer> copies = new TreeSet<>();
        for (Shard shard : shards) {
            if (stages.contains(StageName.of(shard))) {
                copies.add(shard.copy());
            }
        }
        return copies;
    }

    /// What one stage holds under one name.
    private record StageName(int stage, String name) {
        static StageName of(Shard shard) {
            return new StageName(shard.at().on("pp"), shard.localName());
        }
    }

    private IncompleteCheckpointException lacks(String state, int copy, int held) {
        return new IncompleteCheckpointException(
                "%s: %s".formatted(bound.name(), state),
                "none at %s".formatted(replica(state, copy).label()),
                "a replica of what is held at %s".formatted(replica(state, held).label()),
                "a rank's file is of another save; copy that save's files again");
    }

    Parameter finish(CheckpointIndex index) throws IncompleteCheckpointException {
        checkCopies();
        Map<String, StateHolding> holdings = new LinkedHashMap<>();
        Map<String, DType> dtypes = new LinkedHashMap<>();
        for (Map.Entry<String, List<Span>> state : states.entrySet()) {
            StateHolding holding = holding(state.getKey(), state.getValue());
            holdings.put(state.getKey(), holding);
            DType cast = bound.casts().get(state.getKey());
            dtypes.put(state.getKey(), cast == null ? holding.dtype() : cast);
        }
        boolean buffer = index.hints().buffers().contains(bound.name());
        boolean frozen = bound.frozen() || index.hints().frozen().contains(bound.name());
        List<String> aliases = new ArrayList<>(bound.aliases());
        index.hints().aliases().entrySet().stream()
                .filter(e -> e.getValue().equals(bound.name()) && !aliases.contains(e.getKey()))
                .map(Map.Entry::getKey)
                .sorted()
                .forEach(aliases::add);
        return new Parameter(
                new ParameterFacts(
                        bound.name(),
                        bound.shape(),
                        bound.realShape(),
                        dtypes,
                        scalars,
                        bound.split(),
                        !frozen && !buffer,
                        buffer,
                        optimizerGroup,
                        aliases,
                        Map.of(),
                        List.of()),
                holdings);
    }

    private StateHolding holding(String state, List<Span> spans)
            throws IncompleteCheckpointException {
        Map<Integer, List<Span>> byCopy = new TreeMap<>();
        for (Span span : spans) {
            byCopy.computeIfAbsent(span.copy(), _ -> new ArrayList<>()).add(span);
        }
        DType dtype = spans.getFirst().tensor().dtype();
        List<Copy> copies = new ArrayList<>();
        for (Map.Entry<Integer, List<Span>> copy : byCopy.entrySet()) {
            Replica replica = replica(state, copy.getKey());
            long held = 0;
            List<Fragment> fragments = new ArrayList<>();
            for (Span span : copy.getValue()) {
                held += span.of().count();
                fragments.addAll(span.fragments());
                if (span.tensor().dtype() != dtype) {
                    throw new IncompleteCheckpointException(
                            "%s: %s".formatted(bound.name(), state),
                            "%s in %s and %s in %s"
                                    .formatted(
                                            dtype,
                                            spans.getFirst().tensor().source().path(),
                                            span.tensor().dtype(),
                                            span.tensor().source().path()),
                            "one dtype",
                            "");
                }
            }
            if (held != bound.shape().count()) {
                throw new IncompleteCheckpointException(
                        "%s: %s at %s".formatted(bound.name(), state, replica.label()),
                        "%d elements".formatted(held),
                        "%d, for shape %s (%s)"
                                .formatted(bound.shape().count(), bound.shape(), bound.rule()),
                        "a rank's file is missing, or the spec does not fit the checkpoint");
            }
            copies.add(new Copy(replica, fragments));
        }
        return new StateHolding(dtype, copies);
    }

    /// What a rank holds once more must equal what it held before.
    private Replica replica(String state, int copy) {
        List<Replica> copies = bound.copies(state);
        int known = copies.size();
        Replica first = copies.get(copy % known);
        return copy < known ? first : first.labelled(first.label() + " (held again)");
    }
}
