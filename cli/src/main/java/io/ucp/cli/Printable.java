package io.ucp.cli;

import org.jspecify.annotations.Nullable;

/// Names that come out of files, made safe for a terminal: a control character in a parameter's
/// name must not move the cursor, and a direction mark must not turn the line around.
final class Printable {
    private Printable() {}

    /// The text, with every control, format or lone surrogate character as `\\u001b`.
    static String of(@Nullable Object value) {
        String text = String.valueOf(value);
        if (text.codePoints().noneMatch(Printable::isHidden)) {
            return text;
        }
        StringBuilder safe = new StringBuilder(text.length() + 16);
        text.codePoints()
                .forEach(
                        c -> {
                            if (isHidden(c)) {
                                safe.append("\\u%04x".formatted(c));
                            } else {
                                safe.appendCodePoint(c);
                            }
                        });
        return safe.toString();
    }

    /// As [#of], where the text may have lines.
    static String lines(String text) {
        return String.join("\n", text.lines().map(Printable::of).toList());
    }

    private static boolean isHidden(int codePoint) {
        int type = Character.getType(codePoint);
        return Character.isISOControl(codePoint)
                || type == Character.FORMAT
                || type == Character.SURROGATE
                || type == Character.LINE_SEPARATOR
                || type == Character.PARAGRAPH_SEPARATOR;
    }
}
