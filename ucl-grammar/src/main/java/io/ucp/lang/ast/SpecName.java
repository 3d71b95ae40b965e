package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

/// `spec NAME`.
public record SpecName(Name name, Span span) implements Statement {}
