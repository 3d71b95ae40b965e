package io.ucp.convert;

import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;

import java.nio.ByteBuffer;

/// Counts the numbers of one state, from windows in any order and by several threads.
public final class NumberCount {
    private final DType dtype;

    /// The least positive number of the type's full precision.
    private final double normal;

    private Numbers sum = Numbers.NONE;

    /// @param firstNan index, or -1
    /// @param firstInfinite index, or -1
    /// @param negative finite ones
    /// @param least finite one; infinite where there is none
    /// @param greatest finite one
    public record Numbers(
            long count,
            long nan,
            long firstNan,
            long infinite,
            long firstInfinite,
            long denormal,
            long zero,
            long negative,
            double least,
            double greatest) {
        static final Numbers NONE =
                new Numbers(
                        0,
                        0,
                        -1,
                        0,
                        -1,
                        0,
                        0,
                        0,
                        Double.POSITIVE_INFINITY,
                        Double.NEGATIVE_INFINITY);

        Numbers and(Numbers o) {
            return new Numbers(
                    count + o.count,
                    nan + o.nan,
                    first(firstNan, o.firstNan),
                    infinite + o.infinite,
                    first(firstInfinite, o.firstInfinite),
                    denormal + o.denormal,
                    zero + o.zero,
                    negative + o.negative,
                    Math.min(least, o.least),
                    Math.max(greatest, o.greatest));
        }

        private static long first(long a, long b) {
            return a < 0 ? b : b < 0 ? a : Math.min(a, b);
        }
    }

    NumberCount(DType dtype) {
        this.dtype = dtype;
        this.normal =
                switch (dtype) {
                    case FLOAT64 -> Double.MIN_NORMAL;
                    case FLOAT16 -> 0x1p-14;
                    default -> Float.MIN_NORMAL;
                };
    }

    DType dtype() {
        return dtype;
    }

    /// @param from byte of the state at which the window starts
    void add(long from, ByteBuffer window) {
        long base = from / dtype.width();
        int count = window.limit() / dtype.width();
        long nan = 0;
        long firstNan = -1;
        long infinite = 0;
        long firstInfinite = -1;
        long denormal = 0;
        long zero = 0;
        long negative = 0;
        double least = Double.POSITIVE_INFINITY;
        double greatest = Double.NEGATIVE_INFINITY;
        for (int k = 0; k < count; k++) {
            double value = Floats.get(dtype, window, k * dtype.width());
            double size = Math.abs(value);
            if (size <= Double.MAX_VALUE) {
                least = Math.min(least, value);
                greatest = Math.max(greatest, value);
                if (value < 0) {
                    negative++;
                }
                if (size < normal) {
                    if (size == 0) {
                        zero++;
                    } else {
                        denormal++;
                    }
                }
            } else if (Double.isNaN(value)) {
                firstNan = nan++ == 0 ? base + k : firstNan;
            } else {
                firstInfinite = infinite++ == 0 ? base + k : firstInfinite;
            }
        }
        Numbers found =
                new Numbers(
                        count,
                        nan,
                        firstNan,
                        infinite,
                        firstInfinite,
                        denormal,
                        zero,
                        negative,
                        least,
                        greatest);
        synchronized (this) {
            sum = sum.and(found);
        }
    }

    synchronized Numbers numbers() {
        return sum;
    }
}
