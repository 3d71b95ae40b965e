package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

/// A whole number written down: a literal, a name, or an operation on two. A name is that of a
/// `let`, of an axis (its degree), or of a value from `--set` or the checkpoint.
public sealed interface Expr {
    Span span();

    /// A number of 0 or more.
    record Literal(long value, Span span) implements Expr {
        public Literal {
            if (value < 0) {
                throw new IllegalArgumentException("literal " + value + "; expected 0 or more");
            }
        }
    }

    record Reference(Name name) implements Expr {
        @Override
        public Span span() {
            return name.span();
        }
    }

    record Binary(Expr left, Operator operator, Expr right, Span span) implements Expr {}

    /// The operations. `DIVIDE` is exact: a remainder is an error where the expression is
    /// evaluated.
    enum Operator {
        ADD("+", 1),
        SUBTRACT("-", 1),
        MULTIPLY("*", 2),
        DIVIDE("/", 2);

        private final String sign;
        private final int precedence;

        Operator(String sign, int precedence) {
            this.sign = sign;
            this.precedence = precedence;
        }

        public String sign() {
            return sign;
        }

        /// Higher binds tighter.
        public int precedence() {
            return precedence;
        }
    }

    static Expr of(long value) {
        return new Literal(value, Span.NONE);
    }

    static Expr of(String name) {
        return new Reference(Name.of(name));
    }

    default Expr plus(Expr right) {
        return new Binary(this, Operator.ADD, right, Span.NONE);
    }

    default Expr minus(Expr right) {
        return new Binary(this, Operator.SUBTRACT, right, Span.NONE);
    }

    default Expr times(Expr right) {
        return new Binary(this, Operator.MULTIPLY, right, Span.NONE);
    }

    default Expr dividedBy(Expr right) {
        return new Binary(this, Operator.DIVIDE, right, Span.NONE);
    }
}
