package io.ucp.lang.diagnostic;

import java.util.Arrays;
import java.util.Objects;

/// A named text that spans point into. Offsets count UTF-16 units from 0, as in [String]; lines and
/// columns count from 1, columns in code points.
public final class SourceText {
    /// The source of what no one wrote; see [Span#NONE].
    public static final SourceText NONE = new SourceText("", "");

    private final String name;
    private final String text;
    private final int[] lineStarts;

    private SourceText(String name, String text) {
        this.name = Objects.requireNonNull(name);
        this.text = Objects.requireNonNull(text);
        this.lineStarts = lineStarts(text);
    }

    /// A text under the name that diagnostics print: a file name as the user gave it, or what
    /// stands for one.
    public static SourceText of(String name, String text) {
        return new SourceText(name, text);
    }

    /// A line and a column, both from 1; the column counts code points.
    public record Position(int line, int column) {}

    public String name() {
        return name;
    }

    public String text() {
        return text;
    }

    /// The line and column of an offset; an offset past the end is the place after the last
    /// character.
    public Position position(int offset) {
        int at = Math.clamp(offset, 0, text.length());
        int line = lineOf(at);
        return new Position(line, text.codePointCount(lineStarts[line - 1], at) + 1);
    }

    /// The line, from 1, that an offset lies on.
    public int lineOf(int offset) {
        int found = Arrays.binarySearch(lineStarts, offset);
        return found >= 0 ? found + 1 : -found - 1;
    }

    /// The text of a line (from 1) without its end.
    public String line(int line) {
        int end = lineEnd(line);
        return text.substring(lineStarts[line - 1], end);
    }

    /// The offset of the first character of a line (from 1).
    public int lineStart(int line) {
        return lineStarts[line - 1];
    }

    private int lineEnd(int line) {
        int end = line < lineStarts.length ? lineStarts[line] - 1 : text.length();
        boolean crlf = end > lineStarts[line - 1] && text.charAt(end - 1) == '\r';
        return crlf ? end - 1 : end;
    }

    private static int[] lineStarts(String text) {
        int[] starts = new int[16];
        int count = 1;
        for (int at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
            if (count == starts.length) {
                starts = Arrays.copyOf(starts, count * 2);
            }
            starts[count++] = at + 1;
        }
        return Arrays.copyOf(starts, count);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof SourceText that && name.equals(that.name) && text.equals(that.text);
    }

    @Override
    public int hashCode() {
        return Objects.hash(name, text);
    }

    @Override
    public String toString() {
        return name;
    }
}
