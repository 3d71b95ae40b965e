package io.ucp.formats;

import io.ucp.io.ByteSource;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

/// What a file says it holds: one tensor, as it lies there. `offset` is in bytes from the start of
/// the source to the element at index 0; `strides` are in elements.
public record TensorEntry(
        ByteSource source, long offset, DType dtype, Shape shape, long[] strides) {
    /// A tensor that lies row-major and dense.
    public static TensorEntry dense(ByteSource source, long offset, DType dtype, Shape shape) {
        return new TensorEntry(source, offset, dtype, shape, shape.strides());
    }

    public boolean isDense() {
        if (strides.length != shape.rank()) {
            return false;
        }
        long stride = 1;
        for (int d = shape.rank() - 1; d >= 0; d--) {
            if (strides[d] != stride) {
                return false;
            }
            stride *= shape.dim(d);
        }
        return true;
    }

    /// Bytes of its elements.
    public long size() {
        return Math.multiplyExact(shape.count(), dtype.width());
    }
}
