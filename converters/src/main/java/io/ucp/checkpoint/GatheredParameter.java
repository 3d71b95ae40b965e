package io.ucp.checkpoint;

import io.ucp.bind.BoundParameter;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.layout.Replica;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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
    private final Map<String, Scalar> scalars = new TreeMap<>();
    private final Map<String, Coordinate> scalarPlaces = new TreeMap<>();
    private int optimizerGroup = -1;

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
        List<Span> held = states.getOrDefault(span.of().state(), List.of());
        int copy = span.copy();
        for (Span other : held) {
            if (isSame(other.tensor(), span.tensor())
                    && other.of().pieces().equals(span.of().pieces())) {
                return;
            }
        }
        while (overlaps(held, copy, span)) {
            copy += bound.copies().size();
        }
        add(new Span(span.tensor(), span.offset(), copy, span.of()));
    }

    private static boolean isSame(TensorEntry a, TensorEntry b) {
        return a.source().equals(b.source())
                && a.offset() == b.offset()
                && a.dtype() == b.dtype()
                && a.shape().equals(b.shape())
                && Arrays.equals(a.strides(), b.strides());
    }

    private static boolean overlaps(List<Span> held, int copy, Span span) {
        return held.stream()
                .anyMatch(
                        other ->
                                other.copy() == copy
                                        && other.of().pieces().equals(span.of().pieces()));
    }

    void optimizerGroup(int number) {
        optimizerGroup = number;
    }

    /// All ranks must hold the same value.
    void scalars(Map<String, Scalar> held, Coordinate at) throws IncompleteCheckpointException {
        for (Map.Entry<String, Scalar> e : held.entrySet()) {
            Scalar before = scalars.putIfAbsent(e.getKey(), e.getValue());
            Coordinate place = scalarPlaces.putIfAbsent(e.getKey(), at);
            if (before != null && !before.equals(e.getValue())) {
                throw new IncompleteCheckpointException(
                        "%s: %s".formatted(bound.name(), e.getKey()),
                        "%s at %s and %s at %s".formatted(before, place, e.getValue(), at),
                        "one value on all ranks",
                        "the files are of different steps: copy the checkpoint again as a whole");
            }
        }
    }

    Stream<Span> spans() {
        return states.values().stream().flatMap(List::stream);
    }

    /// Every copy that the optimizer holds has all of its states; else a replica would go
    /// uncompared. The model's own copy may be kept by fewer ranks (of a tied stage).
    private void checkCopies() throws IncompleteCheckpointException {
        Map<String, TreeSet<Integer>> copiesOf = new TreeMap<>(STATE_ORDER);
        states.forEach(
                (state, spans) -> {
                    if (!state.equals("weight")) {
                        TreeSet<Integer> copies = new TreeSet<>();
                        spans.forEach(s -> copies.add(s.copy() % bound.copies().size()));
                        copiesOf.put(state, copies);
                    }
                });
        TreeSet<Integer> all = new TreeSet<>();
        copiesOf.values().forEach(all::addAll);
        for (Map.Entry<String, TreeSet<Integer>> held : copiesOf.entrySet()) {
            for (int copy : all) {
                if (!held.getValue().contains(copy)) {
                    throw new IncompleteCheckpointException(
                            "%s: %s".formatted(bound.name(), held.getKey()),
                            "none at %s, where there are other states"
                                    .formatted(replica(copy).label()),
                            "every state, as at %s"
                                    .formatted(replica(held.getValue().first()).label()),
                            "a rank's file is of another save; copy that save's files again");
                }
            }
        }
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
            Replica replica = replica(copy.getKey());
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
    private Replica replica(int copy) {
        int known = bound.copies().size();
        Replica first = bound.copies().get(copy % known);
        return copy < known ? first : first.labelled(first.label() + " (held again)");
    }
}
