package io.ucp.convert;

import java.io.IOException;

/// A conversion that does not fit in memory, noticed before it begins: exit code 4.
public final class NotEnoughMemoryException extends IOException {
    /// @param limited whether the user said so, else the system has no more
    NotEnoughMemoryException(long needed, long most, boolean limited) {
        super(
                "not enough memory: the conversion needs about %,d bytes; expected at most %,d (%s)\nhint: %s"
                        .formatted(
                                needed,
                                most,
                                limited ? "--max-memory" : "what the system has left",
                                limited
                                        ? "raise --max-memory"
                                        : "stop something else, or run it on another machine"));
    }
}
