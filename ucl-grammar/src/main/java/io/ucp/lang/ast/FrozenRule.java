package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;

/// `frozen PATTERN, ..`: parameters that have the state `weight` and no optimizer state, whatever
/// rule lays them out.
public record FrozenRule(boolean optional, List<NamePattern> patterns, Span span)
        implements Statement {
    public FrozenRule {
        patterns = List.copyOf(patterns);
    }
}
