package io.ucp.formats.torch;

import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyContainer;
import io.ucp.formats.torch.pickle.PyPersistent;

import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

/// Looks for elements of tensors, of whatever kind, in parts of one tree: at each node once,
/// however many parts share it.
public final class ElementSearch {
    private final Set<PyContainer> seen = Collections.newSetFromMap(new IdentityHashMap<>());

    /// Whether there are some below the node that no call before came to.
    public boolean finds(PickleValue value) {
        boolean[] found = new boolean[1];
        PickleGraph.walk(
                value,
                node -> {
                    found[0] |= node instanceof PyPersistent;
                    return !found[0] && seen.add(node);
                });
        return found[0];
    }
}
