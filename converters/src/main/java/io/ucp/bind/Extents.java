package io.ucp.bind;

import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.tensor.Shape;

import java.util.List;

/// Shapes of numbers that a spec gives: these may be any.
final class Extents {
    private Extents() {}

    /// @param extents of 0 or more
    /// @throws ImpossibleLayoutException for more elements than a number of 64 bits counts
    static Shape shape(List<Long> extents) {
        try {
            return Shape.of(extents.stream().mapToLong(Long::longValue).toArray());
        } catch (ArithmeticException _) {
            throw tooLarge("the shape " + extents);
        }
    }

    /// The next multiple.
    ///
    /// @throws ImpossibleLayoutException where that is more than a number of 64 bits holds
    static long padded(long real, long multiple) {
        try {
            return Math.multiplyExact(Math.ceilDiv(real, multiple), multiple);
        } catch (ArithmeticException _) {
            throw tooLarge("%d padded to a multiple of %d".formatted(real, multiple));
        }
    }

    private static ImpossibleLayoutException tooLarge(String what) {
        return new ImpossibleLayoutException(what, "fewer than 2^63 elements");
    }
}
