package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;
import java.util.Optional;

/// `group NAME { patterns } order checkpoint|listed with states NAME flatten over AXIS`: an
/// optimizer group.
///
/// @param order the flat order of the members; absent for the checkpoint's
/// @param states the block whose states its members have; absent for the spec's only one
/// @param flatten in place of the `flatten` of the states block
public record GroupRule(
        boolean optional,
        Name name,
        List<Commented<NamePattern>> members,
        Optional<Order> order,
        Optional<Name> states,
        Optional<Clause.Flatten> flatten,
        Span span)
        implements Statement {
    public GroupRule {
        members = List.copyOf(members);
    }

    /// Where the flat order comes from: `param_shapes` of the checkpoint, or the order of the
    /// patterns.
    public enum Order {
        CHECKPOINT,
        LISTED
    }

    /// The members without their comments.
    public List<NamePattern> patterns() {
        return members.stream().map(Commented::node).toList();
    }
}
