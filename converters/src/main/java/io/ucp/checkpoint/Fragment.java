package io.ucp.checkpoint;

import io.ucp.formats.TensorEntry;
import io.ucp.io.ByteSource;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;

/// Bytes in a source file placed in a parameter: the element at local position `p` of the piece is
/// the `dtype.width()` bytes at `offset + p * width` of the source.
public record Fragment(ByteSource source, long offset, DType dtype, Piece piece) {
    /// A whole parameter held by one tensor.
    public static Fragment whole(TensorEntry tensor) {
        return new Fragment(
                tensor.source(),
                tensor.offset(),
                tensor.dtype(),
                Piece.whole(tensor.shape()).lying(tensor.shape(), tensor.strides()));
    }
}
