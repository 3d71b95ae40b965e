package io.ucp.plan;

import io.ucp.checkpoint.Copy;
import io.ucp.checkpoint.Fragment;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.layout.Agreement;
import io.ucp.layout.Replica;
import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Transfer;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// Finds where one source holds the elements of states.
final class StatePlanner {
    private static final String MASTER = "fp32";
    private static final String WEIGHT = "weight";

    private final Map<String, Parameter> parameters = new HashMap<>();
    private final Planner.Labels labels;
    private final Map<String, Map<String, Integer>> labelOf = new HashMap<>();

    /// The fragments of a copy by the row-major range of the parameter they lie in. That order is
    /// the same in every factorisation of the parameter's shape.
    private final IdentityHashMap<Copy, Spans<Fragment>> placed = new IdentityHashMap<>();

    /// Layers that are alike are moved alike: one object for each move that comes up.
    private final Map<Transfer, Transfer> moved = new HashMap<>();

    StatePlanner(Inventory source, Planner.Labels labels) {
        this.labels = labels;
        source.parameters().forEach(p -> parameters.put(p.name(), p));
    }

    int label(String target, Elementwise of) {
        return labelOf.computeIfAbsent(of.parameter(), _ -> new HashMap<>())
                .computeIfAbsent(
                        of.state(),
                        state ->
                                labels.add(
                                        new CopyPlan.Label(
                                                of.parameter(),
                                                state,
                                                holding(target, of).copies().stream()
                                                        .map(Copy::label)
                                                        .toList(),
                                                OptionalLong.empty())));
    }

    /// @param compare whether replicas are read too
    Step.Elements step(String target, long offset, Elementwise of, boolean compare) {
        StateHolding holding = holding(target, of);
        DType from = holding.dtype();
        String place = "%s: %s/%s".formatted(target, of.parameter(), of.state());
        if (from != of.dtype() && !(Floats.covers(from) && Floats.covers(of.dtype()))) {
            throw new RefusedException(
                    place,
                    "a cast from %s to %s".formatted(from.torchName(), of.dtype().torchName()),
                    "one among float64, float32, float16 and bfloat16",
                    "");
        }
        List<Step.Rule> rules = rules(holding);
        if (rules.getFirst() == Step.Rule.AVERAGE && !Floats.covers(from)) {
            throw new RefusedException(
                    place,
                    "an average of " + from.torchName(),
                    "one of float64, float32, float16 or bfloat16",
                    "take the first copy instead");
        }
        List<Step.Copy> copies = new ArrayList<>();
        for (int c = 0; c < holding.copies().size(); c++) {
            if (compare || c == 0 || rules.get(c) == Step.Rule.AVERAGE) {
                copies.add(
                        new Step.Copy(
                                origins(place, holding.copies().get(c), of, from), rules.get(c)));
            }
        }
        return new Step.Elements(
                offset, of, from, copies, label(target, of), kept(target, of, rules));
    }

    /// The weights that the source has, where these are made of the master. One that is a mean, or
    /// the first of copies that differ, is the master of no weights in particular.
    private Optional<Step.Kept> kept(String target, Elementwise of, List<Step.Rule> rules) {
        Parameter parameter = find(target, of);
        StateHolding weights = parameter.states().get(WEIGHT);
        boolean plain = rules.stream().skip(1).allMatch(Step.Rule.EQUAL::equals);
        if (!of.state().equals(MASTER)
                || weights == null
                || weights.dtype() != of.dtype()
                || holding(target, of).dtype() == of.dtype()
                || !plain
                || rules.getFirst() == Step.Rule.AVERAGE) {
            return Optional.empty();
        }
        Elementwise own =
                new Elementwise(of.parameter(), WEIGHT, of.dtype(), of.count(), of.pieces());
        Spans<Step.Origin> origins =
                origins(
                        "%s: %s/%s".formatted(target, of.parameter(), WEIGHT),
                        weights.copies().getFirst(),
                        own,
                        of.dtype());
        return Optional.of(
                new Step.Kept(new Step.Copy(origins, Step.Rule.ROUNDED), label(target, own)));
    }

    /// What each copy is for: the first of those that must be equal stands for them.
    private static List<Step.Rule> rules(StateHolding holding) {
        boolean averages = holding.agreement() == Agreement.AVERAGE;
        Replica first = holding.copies().getFirst().replica();
        List<Step.Rule> rules = new ArrayList<>(holding.copies().size());
        Optional<Replica> before = Optional.empty();
        for (Copy copy : holding.copies()) {
            Replica own = copy.replica();
            boolean equal =
                    before.isPresent()
                            && before.get().alternative() == own.alternative()
                            && before.get().summand() == own.summand();
            boolean summand = averages && own.alternative() == first.alternative();
            rules.add(equal ? Step.Rule.EQUAL : summand ? Step.Rule.AVERAGE : Step.Rule.FIRST);
            before = Optional.of(own);
        }
        return rules;
    }

    private Spans<Step.Origin> origins(String place, Copy copy, Elementwise of, DType dtype) {
        Spans<Fragment> fragments = placed.computeIfAbsent(copy, StatePlanner::place);
        List<Step.Origin> origins = new ArrayList<>();
        for (Piece piece : of.pieces()) {
            List<Fragment> near = fragments.over(piece.firstIndex(), piece.endIndex());
            long held = 0;
            for (Fragment fragment : near) {
                if (fragment.dtype() != dtype) {
                    throw new ImpossiblePlanException(
                            place,
                            "%s in %s".formatted(fragment.dtype(), fragment.source().path()),
                            dtype.torchName());
                }
                for (Transfer moves : fragment.piece().intersect(piece)) {
                    Transfer known = moved.computeIfAbsent(moves, m -> m);
                    origins.add(new Step.Origin(fragment.source(), fragment.offset(), known));
                    held += moves.count();
                }
            }
            if (held != piece.count()) {
                throw new ImpossiblePlanException(
                        place,
                        "elements %s are held %s (copy `%s`)"
                                .formatted(
                                        Uncovered.first(
                                                piece, near.stream().map(Fragment::piece).toList()),
                                        held < piece.count() ? "by no file" : "twice",
                                        copy.label()),
                        "each element once");
            }
        }
        return Spans.of(merged(origins), o -> o.moves().to(), o -> o.moves().toEnd());
    }

    private static Spans<Fragment> place(Copy copy) {
        List<Fragment> held = new ArrayList<>(copy.fragments().size());
        for (Fragment fragment : copy.fragments()) {
            if (fragment.piece().count() > 0) {
                held.add(fragment);
            }
        }
        return Spans.of(held, f -> f.piece().firstIndex(), f -> f.piece().endIndex());
    }

    /// Runs that continue each other on both sides, as those of a flat range cut into boxes do,
    /// become one.
    private static List<Step.Origin> merged(List<Step.Origin> origins) {
        List<Step.Origin> sorted =
                Spans.of(origins, o -> o.moves().to(), o -> o.moves().toEnd()).items();
        List<Step.Origin> out = new ArrayList<>(sorted.size());
        for (Step.Origin next : sorted) {
            if (!out.isEmpty() && continues(out.getLast(), next)) {
                Step.Origin last = out.removeLast();
                long[] unit = {1};
                long[] extent = {last.moves().count() + next.moves().count()};
                Transfer both =
                        Transfer.of(extent, last.moves().from(), unit, last.moves().to(), unit);
                out.add(new Step.Origin(last.source(), last.base(), both));
            } else {
                out.add(next);
            }
        }
        return out;
    }

    private static boolean continues(Step.Origin a, Step.Origin b) {
        long n = a.moves().count();
        return a.moves().runExtent() == n
                && b.moves().runExtent() == b.moves().count()
                && a.moves().to() + n == b.moves().to()
                && a.moves().from() + n == b.moves().from()
                && a.base() == b.base()
                && a.source().equals(b.source());
    }

    /// The regions of a place that holds a state whole.
    List<DigestRegion> digest(String target, long offset, Elementwise of) {
        ParameterFacts facts = find(target, of).facts();
        int label = label(target, of);
        labels.digested(label, facts.realShape().count() * of.dtype().width());
        return regions(realPiece(facts), label, offset, of);
    }

    /// The same with the padding, where there is some and all of it lies there.
    List<DigestRegion> padded(String target, long offset, Elementwise of) {
        ParameterFacts facts = find(target, of).facts();
        Piece all = Piece.whole(facts.shape());
        if (!facts.padded() || !holds(of, all)) {
            return List.of();
        }
        int label =
                labels.add(
                        new CopyPlan.Label(
                                of.parameter(),
                                ParameterFacts.withPadding(of.state()),
                                List.of(),
                                OptionalLong.of(facts.shape().count() * of.dtype().width())));
        return regions(all, label, offset, of);
    }

    /// @param counted at the positions that count for the digest
    private static List<DigestRegion> regions(
            Piece counted, int label, long offset, Elementwise of) {
        List<DigestRegion> regions = new ArrayList<>();
        for (Piece piece : of.pieces()) {
            for (Transfer moves : counted.intersect(piece)) {
                regions.add(new DigestRegion(offset, of.dtype().width(), moves, label));
            }
        }
        return regions;
    }

    /// Whether every real element lies there, once.
    boolean isWhole(String target, Elementwise of) {
        return holds(of, realPiece(find(target, of).facts()));
    }

    private static boolean holds(Elementwise of, Piece elements) {
        return of.count() >= elements.count() && hold(of.pieces(), elements);
    }

    /// Whether pieces hold every one of the elements, each once.
    static boolean hold(Collection<Piece> pieces, Piece elements) {
        List<Transfer> moves = new ArrayList<>();
        for (Piece piece : pieces) {
            moves.addAll(piece.intersect(elements));
        }
        return Tiling.exact(moves, elements.count());
    }

    /// The real elements, at their row-major positions.
    static Piece realPiece(ParameterFacts facts) {
        return Piece.of(
                facts.shape().dims(),
                new long[facts.shape().rank()],
                facts.realShape().dims(),
                0,
                facts.realShape().strides());
    }

    private StateHolding holding(String target, Elementwise of) {
        StateHolding holding = find(target, of).states().get(of.state());
        if (holding == null) {
            throw new ImpossiblePlanException(
                    target + ": " + of.parameter(),
                    "the source holds no state `%s` of it".formatted(of.state()),
                    "one of " + find(target, of).states().keySet());
        }
        return holding;
    }

    private Parameter find(String target, Elementwise of) {
        Parameter parameter = parameters.get(of.parameter());
        if (parameter == null) {
            throw new ImpossiblePlanException(
                    target + ": " + of.parameter(),
                    "the source has no such parameter",
                    "one of its %d".formatted(parameters.size()));
        }
        return parameter;
    }
}
