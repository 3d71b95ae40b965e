package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;
import java.util.Optional;

/// `mesh (pp 2, dp = (edp, ep), tp)`: the axes, outermost first.
public record Mesh(List<Axis> axes, Span span) implements Statement {
    public Mesh {
        axes = List.copyOf(axes);
    }

    /// One axis.
    ///
    /// @param degree how many ranks it has; absent where the checkpoint says it
    /// @param factors the axes that it is the product of, outermost first; none for a plain axis. A
    ///   factor has no factors
    public record Axis(Name name, Optional<Expr> degree, List<Axis> factors, Span span) {
        public Axis {
            factors = List.copyOf(factors);
        }

        public static Axis of(String name) {
            return new Axis(Name.of(name), Optional.empty(), List.of(), Span.NONE);
        }

        public static Axis of(String name, long degree) {
            return new Axis(Name.of(name), Optional.of(Expr.of(degree)), List.of(), Span.NONE);
        }
    }
}
