package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.Optional;

/// A named stretch of a dimension, `q: heads * head_dim`, laid after the ones before it.
///
/// @param extent elements of the dimension; absent, for all parts of a list or none, where they
///   share it equally
public record Part(Name name, Optional<Expr> extent, Span span) {
    public static Part of(String name, Expr extent) {
        return new Part(Name.of(name), Optional.of(extent), Span.NONE);
    }

    public static Part of(String name) {
        return new Part(Name.of(name), Optional.empty(), Span.NONE);
    }
}
