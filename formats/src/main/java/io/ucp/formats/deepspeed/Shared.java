package io.ucp.formats.deepspeed;

import io.ucp.formats.IncompleteCheckpointException;

import java.util.Map;

/// The names that ranks say are other names of a parameter (`shared_params`).
final class Shared {
    private Shared() {}

    /// Adds what a rank says; all that name an alias mean the same parameter by it.
    static void into(Map<String, String> aliases, ModelStates rank)
            throws IncompleteCheckpointException {
        for (Map.Entry<String, String> said : rank.shared().entrySet()) {
            String before = aliases.putIfAbsent(said.getKey(), said.getValue());
            if (before != null && !before.equals(said.getValue())) {
                throw new IncompleteCheckpointException(
                        rank.file().path().toString(),
                        "`shared_params` says that %s is another name of %s, and a file before it of %s"
                                .formatted(said.getKey(), said.getValue(), before),
                        "one parameter on all ranks",
                        "a rank's file is of another job; copy the files of one save");
            }
        }
    }
}
