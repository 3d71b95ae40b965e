package io.ucp.formats.torch;

import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyContainer;
import io.ucp.formats.torch.pickle.PyPersistent;
import io.ucp.io.MalformedFileException;

import java.nio.file.Path;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

/// Looks for tensors in the dicts of one tree. Dicts that share dicts can say far more names than
/// they have bytes: what this costs follows the bytes.
public final class ElementSearch {
    /// Places of one dict that are believed.
    private static final int MOST_PLACES = 16;

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

    /// @param name of the dict in the state dict
    /// @throws MalformedFileException where it is in more places than a state dict has it
    public void enter(Path file, String name, PickleValue dict) throws MalformedFileException {
        if (!enters(dict)) {
            throw new MalformedFileException(
                    file,
                    -1,
                    "the dict '%s' is in more than %d places".formatted(name, MOST_PLACES),
                    "each dict of a state dict once",
                    "load the file with torch and save a state dict without nested ones");
        }
    }

    /// What is no tensor that is read has no elements of one either: they would be left out.
    ///
    /// @param name in the state dict
    /// @throws RefusedException for a tensor of a kind that is not read
    public void requireNone(Path file, String name, PickleValue value) {
        if (finds(value)) {
            throw new RefusedException(
                    "%s: `%s`".formatted(file, name),
                    "a tensor of a kind that is not read, in %s".formatted(value),
                    "plain tensors under names: no sparse or quantized one, no lazily conjugated or"
                            + " negated view, no list of tensors",
                    "make it one before it is saved (`to_dense`, `dequantize`, `resolve_conj`,"
                            + " `resolve_neg`)");
        }
    }
}
