package io.ucp.execute;

import io.ucp.plan.CopyPlan;
import io.ucp.plan.Step;
import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.TreeMap;

/// Collects where copies differ, from all workers.
final class Differences {
    private final Map<Integer, Map<Integer, Found>> byLabelAndCopy = new TreeMap<>();

    /// Two copies that are compared.
    ///
    /// @param label whose copies they are
    /// @param with number of the copy that the second is held against, or [#MEAN]
    /// @param rule what the second is to the first
    record Pair(int label, int with, int copy, Step.Rule rule) {
        /// The value, where it is a mean.
        static final int MEAN = -1;

        /// The value, where it was rounded to the dtype of the second.
        static final int MASTER = -2;

        String first(CopyPlan.Label label) {
            return switch (with) {
                case MEAN -> "the mean";
                case MASTER -> "the fp32 master, rounded,";
                default -> label.copies().get(with);
            };
        }
    }

    /// @param sum of the absolute differences, and `ulps` the largest in units of the last place; 0
    ///   for types without arithmetic here
    private record Found(
            Pair pair, long elements, long first, OptionalDouble largest, double sum, long ulps) {
        Found and(Found other) {
            return new Found(
                    pair,
                    elements + other.elements,
                    Math.min(first, other.first),
                    largest.isPresent() && other.largest.isPresent()
                            ? OptionalDouble.of(
                                    Math.max(largest.getAsDouble(), other.largest.getAsDouble()))
                            : OptionalDouble.empty(),
                    sum + other.sum,
                    Math.max(ulps, other.ulps));
        }
    }

    /// Compares elements `[low, high)` of a step: `value` from byte `at`, `other` from its start.
    ///
    /// @return whether any differs
    boolean compare(
            Step.Elements step,
            Pair pair,
            DType dtype,
            long low,
            long high,
            ByteBuffer value,
            int at,
            ByteBuffer other) {
        int width = dtype.width();
        int size = (int) (high - low) * width;
        int mismatch = value.slice(at, size).mismatch(other.slice(0, size));
        if (mismatch < 0) {
            return false;
        }
        int first = mismatch / width;
        boolean number = Floats.covers(dtype);
        long elements = 0;
        double largest = 0;
        double sum = 0;
        long ulps = 0;
        for (int k = first; k < size / width; k++) {
            int index = k * width;
            if (value.slice(at + index, width).mismatch(other.slice(index, width)) >= 0) {
                elements++;
                if (number) {
                    double gap =
                            Floats.get(dtype, value, at + index) - Floats.get(dtype, other, index);
                    largest = Math.max(largest, Math.abs(gap));
                    sum += Math.abs(gap);
                    ulps = Math.max(ulps, Floats.ulps(dtype, value, at + index, other, index));
                }
            }
        }
        Found found =
                new Found(
                        pair,
                        elements,
                        step.index(low + first),
                        number ? OptionalDouble.of(largest) : OptionalDouble.empty(),
                        sum,
                        ulps);
        synchronized (this) {
            byLabelAndCopy
                    .computeIfAbsent(pair.label(), _ -> new TreeMap<>())
                    .merge(pair.copy(), found, Found::and);
        }
        return true;
    }

    synchronized List<ExecutionResult.Difference> of(CopyPlan plan) {
        List<ExecutionResult.Difference> out = new ArrayList<>();
        byLabelAndCopy.forEach(
                (label, copies) ->
                        copies.forEach(
                                (copy, found) -> {
                                    CopyPlan.Label l = plan.labels().get(label);
                                    out.add(
                                            new ExecutionResult.Difference(
                                                    l.parameter(),
                                                    l.state(),
                                                    found.pair().first(l),
                                                    l.copies().get(copy),
                                                    found.pair().rule(),
                                                    label,
                                                    copy,
                                                    found.elements(),
                                                    found.first(),
                                                    found.largest(),
                                                    found.sum(),
                                                    found.ulps()));
                                }));
        return out;
    }
}
