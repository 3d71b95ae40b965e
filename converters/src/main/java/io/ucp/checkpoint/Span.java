package io.ucp.checkpoint;

import io.ucp.formats.Elementwise;
import io.ucp.formats.TensorEntry;
import io.ucp.tensor.Piece;

import java.util.ArrayList;
import java.util.List;

/// A stretch of a source file that holds elements of one parameter's state, dense from `offset`.
///
/// @param tensor the tensor it lies in
/// @param offset bytes from the start of the source
record Span(TensorEntry tensor, long offset, int copy, Elementwise of) {
    /// Local positions `[from, to)` of a shard, lying from element `at` of a flat tensor.
    static Span flat(
            TensorEntry tensor,
            long at,
            int copy,
            String parameter,
            String state,
            List<Piece> shard,
            long from,
            long to) {
        List<Piece> pieces = new ArrayList<>();
        for (Piece piece : shard) {
            pieces.addAll(piece.cut(from, to));
        }
        return new Span(
                tensor,
                tensor.offset() + at * tensor.dtype().width(),
                copy,
                new Elementwise(parameter, state, tensor.dtype(), to - from, pieces));
    }

    /// Bytes.
    long size() {
        return of.size();
    }

    /// The placed bytes, piece by piece.
    List<Fragment> fragments() {
        List<Fragment> out = new ArrayList<>(of.pieces().size());
        for (Piece piece : of.pieces()) {
            out.add(
                    new Fragment(
                            tensor.source(),
                            offset,
                            tensor.dtype(),
                            tensor.isDense()
                                    ? piece
                                    : piece.lying(tensor.shape(), tensor.strides())));
        }
        return out;
    }
}
