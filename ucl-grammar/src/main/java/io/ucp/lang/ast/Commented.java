package io.ucp.lang.ast;

/// A part of a spec together with its comments. Only the printer looks at the comments, so that the
/// parts themselves hold nothing but meaning.
public record Commented<T>(T node, Comments comments) {
    public static <T> Commented<T> of(T node) {
        return new Commented<>(node, Comments.NONE);
    }

    /// A part with comment lines before it, given without the `//`.
    public static <T> Commented<T> of(T node, String... before) {
        return new Commented<>(node, Comments.before(before));
    }
}
