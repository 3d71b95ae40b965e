package io.ucp.tensor;

import java.util.Arrays;
import java.util.stream.Collectors;

/// The extents of a tensor, outermost first, in elements. No dims is a scalar (one element).
public final class Shape {
    private final long[] dims;
    private final long count;

    private Shape(long[] dims) {
        this.dims = dims;
        long n = 1;
        for (long d : dims) {
            if (d < 0) {
                throw new IllegalArgumentException("negative extent in " + Arrays.toString(dims));
            }
            n = Math.multiplyExact(n, d);
        }
        this.count = n;
    }

    /// @throws ArithmeticException where the count does not fit in a long
    public static Shape of(long... dims) {
        return new Shape(dims.clone());
    }

    public int rank() {
        return dims.length;
    }

    public long dim(int d) {
        return dims[d];
    }

    /// Elements.
    public long count() {
        return count;
    }

    public long[] dims() {
        return dims.clone();
    }

    /// Row-major strides, in elements.
    public long[] strides() {
        long[] strides = new long[dims.length];
        long stride = 1;
        for (int d = dims.length - 1; d >= 0; d--) {
            strides[d] = stride;
            stride *= dims[d];
        }
        return strides;
    }

    public Shape with(int dim, long extent) {
        long[] changed = dims.clone();
        changed[dim] = extent;
        return new Shape(changed);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Shape s && Arrays.equals(dims, s.dims);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(dims);
    }

    /// `[1024, 64]`.
    @Override
    public String toString() {
        return Arrays.stream(dims)
                .mapToObj(Long::toString)
                .collect(Collectors.joining(", ", "[", "]"));
    }
}
