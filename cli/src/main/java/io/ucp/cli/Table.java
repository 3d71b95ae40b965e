package io.ucp.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;

/// Rows under headings, in columns as wide as their widest cell. On a terminal too narrow for it
/// the first column gives way, by the middle of its texts.
final class Table {
    private static final String GAP = "  ";
    private static final int LEAST = 16;

    private final List<String> headings;
    private final List<List<String>> rows = new ArrayList<>();

    Table(String... headings) {
        this.headings = List.of(headings);
    }

    /// As many cells as there are headings.
    void row(Object... cells) {
        if (cells.length != headings.size()) {
            throw new IllegalArgumentException(cells.length + " cells for " + headings);
        }
        List<String> row = new ArrayList<>();
        for (Object cell : cells) {
            row.add(Printable.of(cell));
        }
        rows.add(row);
    }

    boolean isEmpty() {
        return rows.isEmpty();
    }

    /// Columns in which every cell is empty are left out.
    void print(PrintWriter out, Terminal terminal) {
        int[] widths = new int[headings.size()];
        for (List<String> row : rows) {
            for (int i = 0; i < widths.length; i++) {
                widths[i] = Math.max(widths[i], row.get(i).length());
            }
        }
        int rest = 0;
        for (int i = 0; i < widths.length; i++) {
            widths[i] = widths[i] == 0 ? 0 : Math.max(widths[i], headings.get(i).length());
            rest += i == 0 || widths[i] == 0 ? 0 : widths[i] + GAP.length();
        }
        if (terminal.interactive()) {
            widths[0] = Math.min(widths[0], Math.max(LEAST, terminal.columns() - rest));
        }
        out.println(terminal.faint(line(headings, widths)));
        for (List<String> row : rows) {
            out.println(line(row, widths));
        }
    }

    private static String line(List<String> cells, int[] widths) {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i < widths.length; i++) {
            if (widths[i] > 0) {
                String cell = i == 0 ? shortened(cells.get(i), widths[i]) : cells.get(i);
                line.append(cell).repeat(' ', widths[i] - cell.length()).append(GAP);
            }
        }
        return line.toString().stripTrailing();
    }

    private static String shortened(String text, int width) {
        if (text.length() <= width) {
            return text;
        }
        int front = (width - 2) / 2;
        return text.substring(0, front) + ".." + text.substring(text.length() - width + front + 2);
    }
}
