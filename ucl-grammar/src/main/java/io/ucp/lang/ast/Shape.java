package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.Arrays;
import java.util.List;

/// The extents of a tensor, outermost dimension first; none for a scalar.
public record Shape(List<Expr> extents, Span span) {
    public Shape {
        extents = List.copyOf(extents);
    }

    public static Shape of(Expr... extents) {
        return new Shape(Arrays.asList(extents), Span.NONE);
    }

    public static Shape of(long... extents) {
        return new Shape(Arrays.stream(extents).mapToObj(Expr::of).toList(), Span.NONE);
    }
}
