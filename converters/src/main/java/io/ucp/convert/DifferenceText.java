package io.ucp.convert;

import io.ucp.execute.ExecutionResult.Difference;

import java.util.Locale;

/// One difference between copies, in words.
final class DifferenceText {
    private DifferenceText() {}

    /// Six digits.
    static String number(double value) {
        return String.format(Locale.ROOT, "%.6g", value);
    }

    /// `12 elements differ between pp 0, tp 0 and pp 1, tp 0, the first at index 3, by at most
    /// 0.25`.
    static String of(Difference difference) {
        String by =
                difference.largest().isPresent()
                        ? String.format(
                                Locale.ROOT,
                                ", by at most %.6g",
                                difference.largest().getAsDouble())
                        : "";
        return "%d %s between %s and %s, the first at index %d%s"
                .formatted(
                        difference.elements(),
                        difference.elements() == 1 ? "element differs" : "elements differ",
                        difference.firstCopy(),
                        difference.otherCopy(),
                        difference.first(),
                        by);
    }
}
