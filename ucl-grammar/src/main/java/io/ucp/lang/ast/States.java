package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;

/// `states adam { fp32, exp_avg, exp_avg_sq: flatten over dp; step: scalar }`: the states that
/// parameters have, each with what its layout adds to that of the parameter.
public record States(Name name, List<Commented<Entry>> entries, Span span) implements Statement {
    public States {
        entries = List.copyOf(entries);
    }

    /// States that are laid out alike.
    ///
    /// @param layout applied after the clauses of the parameter: [Clause.Scalar], [Clause.Unique],
    ///   [Clause.Replicate], [Clause.Average], [Clause.Shard] or [Clause.Flatten]; none for nothing
    ///   more
    public record Entry(List<Name> states, List<Clause> layout, Span span) {
        public Entry {
            states = List.copyOf(states);
            layout = List.copyOf(layout);
        }
    }
}
