package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

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

    /// What the names capture. A number that is counted from another name (`{layers + 2}`) is none:
    /// that name is a constant's.
    public Set<String> captured() {
        return Stream.concat(left.stream(), right.stream())
                .flatMap(name -> name.pieces().stream())
                .filter(NamePattern.Piece.Capture.class::isInstance)
                .map(piece -> ((NamePattern.Piece.Capture) piece).name())
                .collect(Collectors.toSet());
    }
}
