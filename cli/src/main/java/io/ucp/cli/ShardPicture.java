package io.ucp.cli;

import io.ucp.checkpoint.Fragment;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// A small picture of a parameter, a letter for the file that holds the element there: rows
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

    /// The letter of each fragment: one a file, by the order in which files come.
    static List<String> letters(List<Fragment> fragments) {
        Map<Path, String> ofFiles = new HashMap<>();
        List<String> letters = new ArrayList<>();
        for (Fragment fragment : fragments) {
            int next = ofFiles.size();
            letters.add(
                    ofFiles.computeIfAbsent(
                            fragment.source().path(),
                            _ ->
                                    next < LETTERS.length()
                                            ? LETTERS.substring(next, next + 1)
                                            : "*"));
        }
        return letters;
    }

    /// Nothing where there is nothing to tell apart.
    void print(PrintWriter out, Terminal terminal) {
        if (fragments.size() < 2 || shape.count() == 0) {
            return;
        }
        long columns = shape.rank() == 0 ? 1 : shape.dim(shape.rank() - 1);
        long rows = shape.count() / columns;
        List<String> letters = letters(fragments);
        int height = (int) Math.min(rows, ROWS);
        int width = (int) Math.min(columns, COLUMNS);
        for (int r = 0; r < height; r++) {
            StringBuilder line = new StringBuilder("  ");
            for (int c = 0; c < width; c++) {
                long row = sample(r, height, rows);
                long column = sample(c, width, columns);
                line.append(holder(letters, row * columns + column));
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

    private String holder(List<String> letters, long element) {
        for (int f = 0; f < fragments.size(); f++) {
            if (holds(fragments.get(f).piece(), element)) {
                return letters.get(f);
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
