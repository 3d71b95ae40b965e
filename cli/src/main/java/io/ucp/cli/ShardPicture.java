package io.ucp.cli;

import io.ucp.checkpoint.Fragment;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.PrintWriter;
import java.util.List;

/// A small picture of a parameter, a letter for the fragment that holds the element there: rows
/// downwards, columns to the right. Large parameters are sampled, so thin fragments may not show.
///
/// ```
/// A A A A B B B B
/// A A A A B B B B
/// ```
record ShardPicture(Shape shape, List<Fragment> fragments) {
    private static final int ROWS = 12;
    private static final int COLUMNS = 48;
    private static final String LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    /// The letter of a fragment by its number.
    static String letter(int fragment) {
        return fragment < LETTERS.length() ? LETTERS.substring(fragment, fragment + 1) : "*";
    }

    /// Nothing where there is nothing to tell apart.
    void print(PrintWriter out, Terminal terminal) {
        if (fragments.size() < 2 || shape.count() == 0) {
            return;
        }
        long columns = shape.rank() == 0 ? 1 : shape.dim(shape.rank() - 1);
        long rows = shape.count() / columns;
        int height = (int) Math.min(rows, ROWS);
        int width = (int) Math.min(columns, COLUMNS);
        for (int r = 0; r < height; r++) {
            StringBuilder line = new StringBuilder("  ");
            for (int c = 0; c < width; c++) {
                long row = sample(r, height, rows);
                long column = sample(c, width, columns);
                line.append(holder(row * columns + column));
            }
            out.println(terminal.good(line.toString()));
        }
        boolean sampled = rows > height || columns > width;
        out.println(
                terminal.faint(
                        "  %d row%s x %d column%s%s"
                                .formatted(
                                        rows,
                                        rows == 1 ? "" : "s",
                                        columns,
                                        columns == 1 ? "" : "s",
                                        sampled ? ", sampled" : "")));
    }

    /// The element in the middle of cell `cell` of `cells`.
    private static long sample(int cell, int cells, long extent) {
        return (2L * cell + 1) * extent / (2L * cells);
    }

    private String holder(long element) {
        for (int f = 0; f < fragments.size(); f++) {
            if (holds(fragments.get(f).piece(), element)) {
                return letter(f);
            }
        }
        return ".";
    }

    private static boolean holds(Piece piece, long element) {
        long[] grid = piece.grid();
        long[] start = piece.start();
        long[] extent = piece.extent();
        long rest = element;
        for (int d = grid.length - 1; d >= 0; d--) {
            long index = rest % grid[d];
            if (index < start[d] || index >= start[d] + extent[d]) {
                return false;
            }
            rest /= grid[d];
        }
        return true;
    }
}
