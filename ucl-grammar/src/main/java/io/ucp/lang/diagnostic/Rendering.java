package io.ucp.lang.diagnostic;

/// A diagnostic as text for a terminal of any width: the source line is cut to a window around the
/// span, tabs become spaces, and control characters are shown, not sent.
final class Rendering {
    private static final int WIDTH = 100;
    private static final int TAB = 4;
    private static final String CUT = "…";

    private final StringBuilder line = new StringBuilder();
    private int width;

    private Rendering() {}

    static String of(Diagnostic diagnostic) {
        StringBuilder out = new StringBuilder();
        Span span = diagnostic.span();
        if (span.isKnown()) {
            out.append(span).append(": ");
        }
        out.append(diagnostic.severity().word()).append(": ").append(diagnostic.message());
        if (span.isKnown()) {
            out.append(excerpt(span));
        }
        diagnostic.hint().ifPresent(hint -> out.append("\n    hint: ").append(hint));
        return out.toString();
    }

    private static String excerpt(Span span) {
        SourceText source = span.source();
        int lineNumber = source.lineOf(span.start());
        String text = source.line(lineNumber);
        int start = Math.min(span.start() - source.lineStart(lineNumber), text.length());
        int end = Math.clamp(span.end() - source.lineStart(lineNumber), start, text.length());
        int before = shown(text.substring(0, start)).width;
        int from = before < WIDTH * 3 / 4 ? 0 : before - WIDTH / 2;
        Rendering all = shown(text);
        Window window = Window.of(all.line.toString(), from);
        int marked = shown(text.substring(0, end)).width - before;
        int caretAt = before - window.from + window.prefix();
        int carets = Math.clamp(marked, 1, Math.max(1, window.prefix() + window.columns - caretAt));
        return "\n    " + window.text + "\n    " + " ".repeat(caretAt) + "^".repeat(carets);
    }

    /// A part of a line, `columns` wide from column `from` of it, with marks where it was cut.
    private record Window(String text, int from, int columns) {
        static Window of(String line, int from) {
            StringBuilder out = new StringBuilder(from == 0 ? "" : CUT);
            int at = 0;
            int column = 0;
            while (at < line.length() && column < from) {
                column += cells(line.codePointAt(at));
                at = line.offsetByCodePoints(at, 1);
            }
            int start = column;
            while (at < line.length() && column - start < WIDTH) {
                out.appendCodePoint(line.codePointAt(at));
                column += cells(line.codePointAt(at));
                at = line.offsetByCodePoints(at, 1);
            }
            out.append(at < line.length() ? CUT : "");
            return new Window(out.toString().stripTrailing(), start, column - start);
        }

        int prefix() {
            return from == 0 ? 0 : 1;
        }
    }

    private static Rendering shown(String text) {
        Rendering rendering = new Rendering();
        text.codePoints().forEach(rendering::add);
        return rendering;
    }

    private void add(int codePoint) {
        if (codePoint == '\t') {
            int spaces = TAB - width % TAB;
            line.repeat(' ', spaces);
            width += spaces;
            return;
        }
        int visible =
                Character.isISOControl(codePoint) || isHidden(codePoint) ? '\uFFFD' : codePoint;
        line.appendCodePoint(visible);
        width += cells(visible);
    }

    /// Bidirectional controls and unpaired surrogates: they would change how the line around them
    /// reads.
    private static boolean isHidden(int codePoint) {
        int type = Character.getType(codePoint);
        return type == Character.SURROGATE || (type == Character.FORMAT && codePoint != 0x200D);
    }

    /// The terminal columns of a code point: 0 for marks that combine, 2 for East Asian wide ones
    /// and emoji.
    private static int cells(int codePoint) {
        return switch (Character.getType(codePoint)) {
            case Character.NON_SPACING_MARK, Character.ENCLOSING_MARK, Character.FORMAT -> 0;
            default -> isWide(codePoint) ? 2 : 1;
        };
    }

    private static boolean isWide(int c) {
        return (c >= 0x1100 && c <= 0x115F)
                || (c >= 0x2E80 && c <= 0xA4CF)
                || (c >= 0xAC00 && c <= 0xD7A3)
                || (c >= 0xF900 && c <= 0xFAFF)
                || (c >= 0xFE30 && c <= 0xFE6F)
                || (c >= 0xFF00 && c <= 0xFF60)
                || (c >= 0xFFE0 && c <= 0xFFE6)
                || (c >= 0x1F300 && c <= 0x1FAFF)
                || (c >= 0x20000 && c <= 0x3FFFD);
    }
}
