package io.ucp.snapshot;

import io.ucp.formats.RefusedException;
import io.ucp.layout.ImpossibleLayoutException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;

/// Things that are tried one after the other, whatever becomes of those before.
final class Attempts {
    private @Nullable Exception first;

    /// What may fail.
    @FunctionalInterface
    interface Attempt {
        void make() throws IOException;
    }

    /// @return whether it went well
    boolean made(Attempt attempt) {
        try {
            attempt.make();
            return true;
        } catch (IOException | RefusedException | ImpossibleLayoutException e) {
            if (first == null) {
                first = e;
            } else {
                first.addSuppressed(e);
            }
            return false;
        }
    }

    /// @throws IOException what failed first, or one of the others that it may be
    void end() throws IOException {
        switch (first) {
            case null -> {}
            case IOException e -> throw e;
            case RuntimeException e -> throw e;
            default -> throw new IllegalStateException(first);
        }
    }
}
