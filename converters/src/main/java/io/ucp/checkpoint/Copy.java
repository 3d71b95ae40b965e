package io.ucp.checkpoint;

import io.ucp.layout.Replica;

import java.util.List;

/// One complete holding of a parameter's state: fragments that cover each of its elements exactly
/// once. Replicas are further copies.
///
/// @param replica which ranks hold it, and what it is to the other copies
public record Copy(Replica replica, List<Fragment> fragments) {
    public Copy {
        fragments = List.copyOf(fragments);
    }

    /// A copy that equals every other one.
    public Copy(String label, List<Fragment> fragments) {
        this(Replica.equal(label), fragments);
    }

    public String label() {
        return replica.label();
    }
}
