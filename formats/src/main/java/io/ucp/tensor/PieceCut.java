package io.ucp.tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// A range of local positions cut out of a piece: boxes of its grid, whole rows together.
final class PieceCut {
    private final Piece piece;
    private final long from;
    private final long to;

    /// The dims from the one that is outermost locally to the innermost.
    private final Integer[] order;

    /// By place in `order`: the local positions that a box of this dim and those inside it takes.
    private final long[] span;

    private final List<Piece> out = new ArrayList<>();

    /// @throws IllegalArgumentException where the local order is not nested (two dims interleave)
    PieceCut(Piece piece, long from, long to) {
        this.piece = piece;
        this.from = from;
        this.to = to;
        this.order = order(piece);
        this.span = span(piece, order);
    }

    private static Integer[] order(Piece piece) {
        Integer[] order = new Integer[piece.extent.length];
        for (int d = 0; d < order.length; d++) {
            order[d] = d;
        }
        Arrays.sort(order, (a, b) -> Long.compare(piece.localStride[b], piece.localStride[a]));
        return order;
    }

    private static long[] span(Piece piece, Integer[] order) {
        long[] span = new long[order.length + 1];
        span[order.length] = 1;
        for (int i = order.length - 1; i >= 0; i--) {
            int d = order[i];
            if (piece.extent[d] > 1 && piece.localStride[d] < span[i + 1]) {
                throw new IllegalArgumentException("local order is not nested: " + piece);
            }
            span[i] = (piece.extent[d] - 1) * piece.localStride[d] + span[i + 1];
        }
        return span;
    }

    /// Their local positions count from `from`.
    List<Piece> pieces() {
        if (from == 0 && piece.localOffset >= 0 && piece.localOffset + span[0] <= to) {
            return piece.count() == 0 ? out : List.of(piece);
        }
        if (piece.count() > 0) {
            cut(0, piece.localOffset, piece.start, piece.extent);
        }
        return out;
    }

    /// @param level place in `order` of the dim to cut; those before it are cut to one row
    /// @param base local position of the box's first element
    /// @param start like `extent` shared by pieces, and not to be changed
    private void cut(int level, long base, long[] start, long[] extent) {
        if (base >= to || base + span[level] <= from) {
            return;
        }
        if (from <= base && base + span[level] <= to) {
            add(start, extent, base);
            return;
        }
        int d = order[level];
        long n = piece.extent[d];
        long stride = piece.localStride[d];
        long inner = span[level + 1];
        // Rows [first, last) lie wholly inside; one row before and one after may lie inside in
        // part.
        long first = stride == 0 ? 0 : Math.clamp(Math.ceilDiv(from - base, stride), 0, n);
        long last =
                stride == 0
                        ? n
                        : Math.clamp(Math.floorDiv(to - inner - base, stride) + 1, first, n);
        long lead = Math.max(0, first - 1);
        for (long row = lead; row < first; row++) {
            cutRow(level, row, base, start, extent);
        }
        if (last > first) {
            long[] s = start.clone();
            long[] e = extent.clone();
            s[d] = piece.start[d] + first;
            e[d] = last - first;
            add(s, e, base + first * stride);
        }
        for (long row = last; row < Math.min(n, last + 1); row++) {
            cutRow(level, row, base, start, extent);
        }
    }

    private void cutRow(int level, long row, long base, long[] start, long[] extent) {
        int d = order[level];
        long[] s = start.clone();
        long[] e = extent.clone();
        s[d] = piece.start[d] + row;
        e[d] = 1;
        cut(level + 1, base + row * piece.localStride[d], s, e);
    }

    private void add(long[] start, long[] extent, long base) {
        out.add(new Piece(piece.grid, start, extent, base - from, piece.localStride));
    }
}
