package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;

/// `axis ep = (dp_inner, tp)`: a name for the product of axes (or factors) of the mesh, outermost
/// first.
public record AxisProduct(Name name, List<Name> factors, Span span) implements Statement {
    public AxisProduct {
        factors = List.copyOf(factors);
    }
}
