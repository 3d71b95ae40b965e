package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;

/// `drop PATTERN, ..`: tensors that are left out, and reported.
public record DropRule(boolean optional, List<NamePattern> patterns, Span span)
        implements Statement {
    public DropRule {
        patterns = List.copyOf(patterns);
    }
}
