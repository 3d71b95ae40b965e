package io.ucp.checkpoint;

import io.ucp.formats.Elementwise;
import io.ucp.formats.TensorEntry;
import io.ucp.tensor.Piece;

import java.util.ArrayList;
import java.util.List;

/// A stretch of a tensor that holds elements of one parameter's state.
///
/// @param tensor the tensor it lies in
/// @param offset bytes from the start of the source, where the tensor is dense; else as if it were
record Span(TensorEntry tensor, long offset, int copy, Elementwise of) {
    /// Elements of a shard, lying from element `at` of a flat tensor.
    ///
    /// @param pieces that tile local positions `[0, count)`
    static Span flat(
            TensorEntry tensor,
            long at,
            int copy,
            String parameter,
            String state,
            List<Piece> pieces,
            long count) {
        return new Span(
                tensor,
                tensor.offset() + at * tensor.dtype().width(),
                copy,
                new Elementwise(parameter, state, tensor.dtype(), count, pieces));
    }

    /// Local positions `[from, to)` of a shard; those of what is cut out count from `from`.
    static List<Piece> cut(List<Piece> shard, long from, long to) {
        List<Piece> pieces = new ArrayList<>(shard.size());
        for (Piece piece : shard) {
            pieces.addAll(piece.cut(from, to));
        }
        return List.copyOf(pieces);
    }

    /// Bytes.
    long size() {
        return of.size();
    }

    /// The placed bytes, piece by piece.
    List<Fragment> fragments() {
        // Elements of the tensor before this stretch, in its order.
        long before = (offset - tensor.offset()) / tensor.dtype().width();
        List<Fragment> out = new ArrayList<>(of.pieces().size());
        for (Piece piece : of.pieces()) {
            out.add(
                    tensor.isDense()
                            ? new Fragment(tensor.source(), offset, tensor.dtype(), piece)
                            : new Fragment(
                                    tensor.source(),
                                    tensor.offset(),
                                    tensor.dtype(),
                                    piece.moved(before).lying(tensor.shape(), tensor.strides())));
        }
        return out;
    }
}
