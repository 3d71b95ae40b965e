package io.ucp.parity;

import io.ucp.formats.RefusedException;

import java.nio.file.Path;

/// Files that somebody wrote after they were protected: what they hold is not damage, and is not
/// taken back unasked.
final class Written {
    private Written() {}

    static RefusedException refusal(Iterable<Path> files) {
        return new RefusedException(
                Shortfall.text(files),
                "not as protected, and written since",
                "files that are missing, or that only damage has changed",
                "where that was on purpose, protect again; where it was not, move them away, and"
                        + " they are lost files like any other");
    }
}
