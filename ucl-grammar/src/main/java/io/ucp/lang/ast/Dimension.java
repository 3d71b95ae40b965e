package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

/// A dimension of a tensor, from 0 for the outermost.
public record Dimension(int index, Span span) {
    public Dimension {
        if (index < 0) {
            throw new IllegalArgumentException("dimension " + index + "; expected 0 or more");
        }
    }

    public static Dimension of(int index) {
        return new Dimension(index, Span.NONE);
    }
}
