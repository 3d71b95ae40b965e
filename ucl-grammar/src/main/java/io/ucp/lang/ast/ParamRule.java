package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;
import java.util.Optional;

/// `param PATTERN, .. : [shape] { clauses }`: the layout of the parameters that a pattern matches.
///
/// @param optional may match nothing
/// @param fallback written `default`: applies only to parameters that no other rule matches
/// @param shape of the whole parameter, without padding, where the author declares it
public record ParamRule(
        boolean optional,
        boolean fallback,
        List<NamePattern> patterns,
        Optional<Shape> shape,
        List<Commented<Clause>> clauses,
        Span span)
        implements Statement {
    public ParamRule {
        patterns = List.copyOf(patterns);
        clauses = List.copyOf(clauses);
    }

    /// A rule that a program makes.
    public static ParamRule of(NamePattern pattern, Optional<Shape> shape, List<Clause> layout) {
        List<Commented<Clause>> clauses = layout.stream().map(Commented::of).toList();
        return new ParamRule(false, false, List.of(pattern), shape, clauses, Span.NONE);
    }

    /// The clauses without their comments.
    public List<Clause> layout() {
        return clauses.stream().map(Commented::node).toList();
    }
}
