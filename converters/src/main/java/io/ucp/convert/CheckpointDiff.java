package io.ucp.convert;

import io.ucp.checkpoint.Parameter;
import io.ucp.convert.Verification.Difference;
import io.ucp.execute.ExecutionResult;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;
import io.ucp.plan.Comparison;
import io.ucp.plan.Planner;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// By how much two checkpoints differ, state by state.
public final class CheckpointDiff {
    private CheckpointDiff() {}

    /// What counts as no difference; a state is within it where it is within one of the two.
    ///
    /// @param absolute largest difference of two numbers
    /// @param ulps the same, in units of the last place
    public record Tolerance(Optional<Double> absolute, Optional<Long> ulps) {
        public static final Tolerance NONE = new Tolerance(Optional.empty(), Optional.empty());

        boolean covers(StateDifference state) {
            boolean any = absolute.isPresent() || ulps.isPresent();
            if (state.elements() == 0) {
                return any; // another type, and the same numbers
            }
            return state.numbers()
                    .map(
                            n ->
                                    absolute.filter(a -> n.largest() <= a).isPresent()
                                            || ulps.filter(u -> n.ulps() <= u).isPresent())
                    .orElse(false);
        }
    }

    /// A state that both hold and that is not the same.
    ///
    /// @param first dtype in the first
    /// @param second dtype in the second; another type is a difference, whatever the numbers
    /// @param shape without padding
    /// @param elements that differ
    /// @param index row-major, of the first that differs
    /// @param numbers by how much, for types with arithmetic
    public record StateDifference(
            String parameter,
            String state,
            DType first,
            DType second,
            Shape shape,
            long elements,
            long index,
            Optional<Numbers> numbers) {}

    /// @param largest absolute difference, NaN where one side is NaN and the other not the same
    /// @param mean of the absolute differences of all elements of the state
    /// @param ulps the largest, in units of the last place of the wider type; `Long.MAX_VALUE` with
    ///   NaN
    public record Numbers(double largest, double mean, long ulps) {}

    /// @param states that differ by more than the tolerance, in the first's order
    /// @param within how many more differ, by less
    /// @param others what only one has, or what cannot be compared element by element
    /// @param compared states
    /// @param bytes read
    public record Result(
            List<StateDifference> states,
            long within,
            List<Difference> others,
            long compared,
            long bytes,
            List<String> notes) {
        public boolean equal() {
            return states.isEmpty() && others.isEmpty();
        }
    }

    public static Result of(
            Described first,
            Described second,
            Tolerance tolerance,
            RunOptions options,
            Progress progress)
            throws IOException {
        Comparison comparison = Planner.compare(first.inventory(), second.inventory(), true);
        ExecutionResult result =
                PlanExecutor.read(comparison.plan(), Conversion.executing(options), progress);
        List<Difference> others = new ArrayList<>();
        List<String> notes = new ArrayList<>();
        for (Comparison.Unlike unlike : comparison.unlike()) {
            others.add(
                    new Difference(
                            unlike.parameter(),
                            unlike.state(),
                            "%s in the first, %s in the second"
                                    .formatted(unlike.first(), unlike.second())));
        }
        Verification.onOneSide(comparison.onlyFirst(), "first", "second", second, others, notes);
        Verification.onOneSide(comparison.onlySecond(), "second", "first", first, others, notes);
        Verification.scalars(first, second, others);
        Verification.aliases(first, second, others, notes);
        Verification.iterations(first, second, others);
        Map<String, Map<String, ExecutionResult.Difference>> found = new HashMap<>();
        for (ExecutionResult.Difference d : result.differences()) {
            if (d.firstCopy().equals("first") && d.otherCopy().equals("second")) {
                found.computeIfAbsent(d.parameter(), _ -> new HashMap<>()).put(d.state(), d);
            } else {
                notes.add("%s %s: %s".formatted(d.parameter(), d.state(), DifferenceText.of(d)));
            }
        }
        List<StateDifference> differ = states(first, second, found);
        List<StateDifference> beyond = differ.stream().filter(s -> !tolerance.covers(s)).toList();
        return new Result(
                beyond,
                differ.size() - beyond.size(),
                others,
                comparison.plan().targets().size(),
                result.counts().bytesRead(),
                notes);
    }

    private static List<StateDifference> states(
            Described first,
            Described second,
            Map<String, Map<String, ExecutionResult.Difference>> found) {
        Map<String, Parameter> theirs = new HashMap<>();
        second.inventory().parameters().forEach(p -> theirs.put(p.name(), p));
        List<StateDifference> states = new ArrayList<>();
        for (Parameter a : first.inventory().parameters()) {
            Parameter b = theirs.get(a.name());
            if (b == null || !a.facts().realShape().equals(b.facts().realShape())) {
                continue;
            }
            Map<String, ExecutionResult.Difference> own = found.getOrDefault(a.name(), Map.of());
            a.states()
                    .forEach(
                            (state, holding) -> {
                                if (!b.states().containsKey(state)) {
                                    return;
                                }
                                DType other = b.states().get(state).dtype();
                                Optional<ExecutionResult.Difference> d =
                                        Optional.ofNullable(own.get(state));
                                if (d.isPresent() || other != holding.dtype()) {
                                    states.add(state(a, state, holding.dtype(), other, d));
                                }
                            });
        }
        return states;
    }

    private static StateDifference state(
            Parameter parameter,
            String state,
            DType first,
            DType second,
            Optional<ExecutionResult.Difference> difference) {
        Shape shape = parameter.facts().realShape();
        return new StateDifference(
                parameter.name(),
                state,
                first,
                second,
                shape,
                difference.map(ExecutionResult.Difference::elements).orElse(0L),
                difference.map(ExecutionResult.Difference::first).orElse(-1L),
                difference
                        .filter(d -> d.largest().isPresent())
                        .map(
                                d ->
                                        new Numbers(
                                                d.largest().getAsDouble(),
                                                d.sum() / shape.count(),
                                                d.ulps())));
    }
}
