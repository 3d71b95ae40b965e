package io.ucp.plan;

import io.ucp.tensor.Piece;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/// Which elements of a box other boxes leave out or hold twice, for messages.
final class Uncovered {
    private Uncovered() {}

    /// The first such box, in the words of NumPy: `[0:4, 8:16] of [4, 64]`.
    static String first(Piece wanted, List<Piece> held) {
        long[] grid = wanted.grid();
        for (Piece piece : held) {
            grid = Piece.commonGrid(grid, piece.grid());
        }
        List<Piece> rest = wanted.refined(grid);
        for (Piece piece : held) {
            for (Piece box : piece.refined(grid)) {
                List<Piece> left = new ArrayList<>();
                boolean within = false;
                for (Piece r : rest) {
                    List<Piece> parts = minus(r, box);
                    within |= !parts.equals(List.of(r));
                    left.addAll(parts);
                }
                if (!within && box.intersect(wanted).stream().anyMatch(t -> t.count() > 0)) {
                    return name(box);
                }
                rest = left;
            }
        }
        return name(rest.isEmpty() ? wanted : rest.getFirst());
    }

    /// `box` without what `hole` covers, in boxes.
    private static List<Piece> minus(Piece box, Piece hole) {
        long[] start = box.start();
        long[] extent = box.extent();
        int rank = start.length;
        for (int d = 0; d < rank; d++) {
            if (start[d] + extent[d] <= hole.start()[d]
                    || hole.start()[d] + hole.extent()[d] <= start[d]) {
                return List.of(box);
            }
        }
        List<Piece> out = new ArrayList<>();
        for (int d = 0; d < rank; d++) {
            long low = Math.max(start[d], hole.start()[d]);
            long high = Math.min(start[d] + extent[d], hole.start()[d] + hole.extent()[d]);
            if (low > start[d]) {
                out.add(with(box, start, extent, d, start[d], low));
            }
            if (high < start[d] + extent[d]) {
                out.add(with(box, start, extent, d, high, start[d] + extent[d]));
            }
            start[d] = low;
            extent[d] = high - low;
        }
        return out;
    }

    private static Piece with(Piece box, long[] start, long[] extent, int d, long from, long to) {
        long[] s = start.clone();
        long[] e = extent.clone();
        s[d] = from;
        e[d] = to - from;
        return Piece.of(box.grid(), s, e, 0, box.localStride());
    }

    private static String name(Piece box) {
        long[] start = box.start();
        long[] extent = box.extent();
        String ranges =
                IntStream.range(0, start.length)
                        .mapToObj(d -> start[d] + ":" + (start[d] + extent[d]))
                        .collect(Collectors.joining(", ", "[", "]"));
        String grid =
                Arrays.stream(box.grid())
                        .mapToObj(Long::toString)
                        .collect(Collectors.joining(", ", "[", "]"));
        return ranges + " of " + grid;
    }
}
