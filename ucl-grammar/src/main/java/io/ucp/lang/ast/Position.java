package io.ucp.lang.ast;

/// A place on an axis.
public sealed interface Position {
    record First() implements Position {}

    record Last() implements Position {}

    /// The coordinate on the axis, from 0.
    record Nth(int index) implements Position {
        public Nth {
            if (index < 0) {
                throw new IllegalArgumentException("position " + index + "; expected 0 or more");
            }
        }
    }

    Position FIRST = new First();
    Position LAST = new Last();
}
