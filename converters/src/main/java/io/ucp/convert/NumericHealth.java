package io.ucp.convert;

import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.convert.Verification.Difference;
import io.ucp.convert.Verification.Verdict;
import io.ucp.execute.ExecutionResult;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;
import io.ucp.formats.Scalar;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.Planner;
import io.ucp.plan.TargetPlan;
import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/// Whether the numbers of a checkpoint are such as training leaves them. Streams every state once,
/// and the masters of weights a second time.
public final class NumericHealth {
    private NumericHealth() {}

    /// What is looked for.
    public enum Kind {
        /// NaN.
        NAN,
        /// Infinities.
        INF,
        /// Numbers too small for their type's full precision, where they are many.
        DENORMAL,
        /// A moment whose elements are all zero.
        ZERO,
        /// A moment whose elements are all the same.
        CONSTANT,
        /// Negative numbers where squares are summed.
        NEGATIVE,
        /// Weights that are not their master rounded.
        DRIFT
    }

    /// @param ignored kinds that are not reported
    /// @param denormals share of a state's elements that may be denormal
    /// @param drift units in the last place that a weight may be away from its master
    public record Thresholds(Set<Kind> ignored, double denormals, long drift) {
        public static final Thresholds STANDARD = new Thresholds(Set.of(), 0.5, 0);

        public Thresholds {
            ignored = Set.copyOf(ignored);
        }
    }

    /// Numbers of one state.
    public record State(String parameter, String state, DType dtype, NumberCount.Numbers numbers) {}

    /// @param states all that were measured, in the checkpoint's order
    /// @param verdict what is beyond the thresholds
    public record Result(List<State> states, Verdict verdict) {}

    public static Result of(
            Inventory inventory, Thresholds thresholds, RunOptions options, Progress progress)
            throws IOException {
        CopyPlan plan = Planner.values(inventory);
        Map<String, NumberCount> counts = new HashMap<>();
        Map<DType, Long> unmeasured = new TreeMap<>();
        for (Parameter parameter : inventory.parameters()) {
            parameter
                    .states()
                    .forEach(
                            (state, holding) -> {
                                if (Floats.covers(holding.dtype())) {
                                    counts.put(
                                            parameter.name() + "/" + state,
                                            new NumberCount(holding.dtype()));
                                } else {
                                    unmeasured.merge(holding.dtype(), 1L, Long::sum);
                                }
                            });
        }
        ExecutionResult result =
                PlanExecutor.read(
                        plan,
                        Conversion.executing(options)
                                .withObserver(
                                        (target, from, window) -> {
                                            NumberCount count = counts.get(target.path());
                                            if (count != null) {
                                                count.add(from, window);
                                            }
                                        }),
                        progress);
        List<State> states = new ArrayList<>();
        List<Difference> findings = new ArrayList<>();
        for (Parameter parameter : inventory.parameters()) {
            for (String state : parameter.states().keySet()) {
                NumberCount count = counts.get(parameter.name() + "/" + state);
                if (count != null) {
                    NumberCount.Numbers numbers = count.numbers();
                    states.add(new State(parameter.name(), state, count.dtype(), numbers));
                    findings.addAll(findings(parameter, state, numbers, thresholds));
                }
            }
        }
        drift(result, thresholds, findings);
        List<String> notes = new ArrayList<>();
        unmeasured.forEach(
                (dtype, n) ->
                        notes.add(
                                "%d states of %s are not measured"
                                        .formatted(n, dtype.torchName())));
        long bytes = result.counts().bytesRead();
        return new Result(
                states,
                new Verdict(
                        findings,
                        plan.targets().stream().map(TargetPlan::path).distinct().count(),
                        bytes,
                        notes));
    }

    private static List<Difference> findings(
            Parameter parameter, String state, NumberCount.Numbers n, Thresholds thresholds) {
        Map<Kind, String> found = new TreeMap<>();
        if (n.nan() > 0) {
            found.put(Kind.NAN, "%,d NaN, the first at index %d".formatted(n.nan(), n.firstNan()));
        }
        if (n.infinite() > 0) {
            found.put(
                    Kind.INF,
                    "%,d infinite, the first at index %d"
                            .formatted(n.infinite(), n.firstInfinite()));
        }
        if (n.denormal() > thresholds.denormals() * n.count()) {
            found.put(
                    Kind.DENORMAL,
                    "%,d of %,d elements are denormal".formatted(n.denormal(), n.count()));
        }
        boolean moment = !state.equals("weight") && !state.equals("fp32");
        Scalar step = parameter.facts().scalars().get("step");
        boolean untrained = step != null && isZero(step.bytes());
        boolean finite = n.nan() == 0 && n.infinite() == 0;
        if (moment && n.count() > 0 && n.zero() == n.count()) {
            if (!untrained) {
                found.put(Kind.ZERO, "all %,d elements are zero".formatted(n.count()));
            }
        } else if (moment && finite && n.count() > 1 && n.least() == n.greatest()) {
            found.put(
                    Kind.CONSTANT,
                    String.format(Locale.ROOT, "all %,d elements are %s", n.count(), n.least()));
        }
        if (state.endsWith("_sq") && n.negative() > 0) {
            found.put(
                    Kind.NEGATIVE,
                    String.format(
                            Locale.ROOT,
                            "%,d elements are negative, the least %s; it sums squares",
                            n.negative(),
                            n.least()));
        }
        return found.entrySet().stream()
                .filter(e -> !thresholds.ignored().contains(e.getKey()))
                .map(e -> new Difference(parameter.name(), state, e.getValue()))
                .toList();
    }

    private static boolean isZero(byte[] bytes) {
        for (byte b : bytes) {
            if (b != 0) {
                return false;
            }
        }
        return true;
    }

    private static void drift(
            ExecutionResult result, Thresholds thresholds, List<Difference> findings) {
        if (thresholds.ignored().contains(Kind.DRIFT)) {
            return;
        }
        for (ExecutionResult.Difference d : result.differences()) {
            if (d.otherCopy().equals("fp32") && d.ulps() > thresholds.drift()) {
                findings.add(
                        new Difference(
                                d.parameter(),
                                d.state(),
                                String.format(
                                        Locale.ROOT,
                                        "%,d elements are not their master rounded, the first at"
                                                + " index %d, by at most %s (%s)",
                                        d.elements(),
                                        d.first(),
                                        DifferenceText.number(d.largest().orElse(Double.NaN)),
                                        d.ulps() == Long.MAX_VALUE
                                                ? "NaN"
                                                : "%d ULP".formatted(d.ulps()))));
            }
        }
    }
}
