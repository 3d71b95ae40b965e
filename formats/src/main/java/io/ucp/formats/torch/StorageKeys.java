package io.ucp.formats.torch;

import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyPersistent;
import io.ucp.formats.torch.pickle.PyTuple;

import java.util.LinkedHashSet;
import java.util.Set;

/// Numbers the storages of a container as `torch.save` does: `0`, `1`, .. in the order in which the
/// pickle first names them.
public final class StorageKeys {
    private int next;

    public String next() {
        return Integer.toString(next++);
    }

    /// The keys of the storages that a tree refers to, in the order in which it does.
    public static Set<String> in(PickleValue tree) {
        Set<String> keys = new LinkedHashSet<>();
        PickleGraph.forEach(
                tree,
                container -> {
                    if (container instanceof PyPersistent persistent
                            && persistent.id() instanceof PyTuple id
                            && id.elements().size() > 2) {
                        id.elements().get(2).asText().ifPresent(keys::add);
                    }
                });
        return keys;
    }
}
