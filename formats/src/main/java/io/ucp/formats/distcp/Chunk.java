package io.ucp.formats.distcp;

import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/// A box of a tensor that is an item of its own.
///
/// @param start index of its first element, a number a dim
/// @param extent elements along each dim; nothing where a rank had none
public record Chunk(List<Long> start, Shape extent) {
    public Chunk {
        start = List.copyOf(start);
    }

    public static Chunk of(long[] start, long[] extent) {
        return new Chunk(Arrays.stream(start).boxed().toList(), Shape.of(extent));
    }

    /// A tensor in one chunk.
    public static Chunk whole(Shape shape) {
        return new Chunk(Collections.nCopies(shape.rank(), 0L), shape);
    }

    public long[] offsets() {
        return start.stream().mapToLong(Long::longValue).toArray();
    }

    /// Its elements in the tensor, at their row-major positions in the chunk.
    public Piece in(Shape whole) {
        return Piece.box(whole, offsets(), extent.dims());
    }

    boolean isIn(Shape whole) {
        for (int d = 0; d < whole.rank(); d++) {
            if (start.get(d) > whole.dim(d) - extent.dim(d)) {
                return false;
            }
        }
        return true;
    }

    boolean overlaps(Chunk other) {
        for (int d = 0; d < start.size(); d++) {
            if (start.get(d) >= other.start.get(d) + other.extent.dim(d)
                    || other.start.get(d) >= start.get(d) + extent.dim(d)) {
                return false;
            }
        }
        return extent.count() > 0 && other.extent.count() > 0;
    }

    /// `[26, 0] + [13, 48]`.
    @Override
    public String toString() {
        return start + " + " + extent;
    }
}
