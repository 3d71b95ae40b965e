package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

/// `let NAME = EXPRESSION`.
public record Let(Name name, Expr value, Span span) implements Statement {}
