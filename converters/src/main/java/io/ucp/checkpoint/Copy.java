package io.ucp.checkpoint;

import java.util.List;

/// One complete holding of a parameter's state: fragments that cover each of its elements exactly
/// once. Replicas are further copies.
///
/// @param label which ranks hold it, for messages: `pp 0, tp 1`
public record Copy(String label, List<Fragment> fragments) {
    public Copy {
        fragments = List.copyOf(fragments);
    }
}
