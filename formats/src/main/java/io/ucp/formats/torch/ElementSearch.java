package io.ucp.formats.torch;

import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyContainer;
import io.ucp.formats.torch.pickle.PyPersistent;

import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

/// Looks for tensors in the dicts of one tree. Dicts that share dicts can say far more names than
/// they have bytes: what this costs follows the bytes.
public final class ElementSearch {
    /// Places of one dict that are believed.
    public static final int MOST_PLACES = 16;

    private final Set<PyContainer> seen = Collections.newSetFromMap(new IdentityHashMap<>());
    private final IdentityHashMap<PickleValue, Integer> places = new IdentityHashMap<>();

    /// Whether a dict is to be looked through in one more place.
    public boolean enters(PickleValue dict) {
        return places.merge(dict, 1, Integer::sum) <= MOST_PLACES;
    }

    /// Whether elements of a tensor, of whatever kind, are below the node that no call before came
    /// to.
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
