package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

/// A named stretch of a dimension, `q: heads * head_dim`, laid after the ones before it.
public record Part(Name name, Expr extent, Span span) {
    public static Part of(String name, Expr extent) {
        return new Part(Name.of(name), extent, Span.NONE);
    }
}
