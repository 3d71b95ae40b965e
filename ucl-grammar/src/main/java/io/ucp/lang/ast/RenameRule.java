package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;

/// `rename A, .. <-> B, .. { steps }`: reversible names. The left names are those of the checkpoint
/// that the spec describes. Several on one side belong to the parts of a `split` (right) or `join`
/// (left), in order.
public record RenameRule(
        boolean optional,
        List<NamePattern.Glob> left,
        List<NamePattern.Glob> right,
        List<Commented<RenameStep>> steps,
        Span span)
        implements Statement {
    public RenameRule {
        left = List.copyOf(left);
        right = List.copyOf(right);
        steps = List.copyOf(steps);
    }
}
