package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

/// What the spec says in words about how its rules match; without it every rule matches something
/// and no parameter is matched twice.
public record Matching(Mode mode, Span span) implements Statement {
    public enum Mode {
        /// `first match wins`: of the rules that match a parameter, the first written holds.
        FIRST_MATCH_WINS,
        /// `every rule optional`: rules may match nothing.
        EVERY_RULE_OPTIONAL
    }

    public static Matching of(Mode mode) {
        return new Matching(mode, Span.NONE);
    }
}
