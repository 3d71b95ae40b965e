package io.ucp.formats;

import io.ucp.io.ByteSource;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.Arrays;

/// What a file says it holds: one tensor, as it lies there. `offset` is in bytes from the start of
/// the source to the element at index 0; `strides` are in elements.
public record TensorEntry(
        ByteSource source, long offset, DType dtype, Shape shape, long[] strides) {
    /// A tensor that lies row-major and dense.
    public static TensorEntry dense(ByteSource source, long offset, DType dtype, Shape shape) {
        return new TensorEntry(source, offset, dtype, shape, shape.strides());
    }

    public boolean isDense() {
        return Arrays.equals(strides, shape.strides());
    }

    /// Bytes of its elements.
    public long size() {
        return Math.multiplyExact(shape.count(), dtype.width());
    }
}
