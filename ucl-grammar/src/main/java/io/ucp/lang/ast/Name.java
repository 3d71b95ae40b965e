package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.regex.Pattern;

/// An identifier: of an axis, a state, a capture, a part, a constant, a group. A word of the
/// language may be one too; it is then written between backquotes.
public record Name(String text, Span span) {
    private static final Pattern FORM = Pattern.compile("[A-Za-z_][A-Za-z0-9_]*");

    public Name {
        if (!isName(text)) {
            throw new IllegalArgumentException(
                    "'" + text + "' is no name; expected letters, digits and _, no digit first");
        }
    }

    public static Name of(String text) {
        return new Name(text, Span.NONE);
    }

    /// Whether a text can be a name: ASCII letters, digits and `_`, no digit first.
    public static boolean isName(String text) {
        return FORM.matcher(text).matches();
    }

    @Override
    public String toString() {
        return text;
    }
}
