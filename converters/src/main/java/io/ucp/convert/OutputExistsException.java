package io.ucp.convert;

import java.io.IOException;
import java.nio.file.Path;

/// The output is there already: exit code 2. Nothing is ever written over.
public final class OutputExistsException extends IOException {
    public OutputExistsException(Path target) {
        super(
                "%s: it exists already; expected a name that is free\nhint: choose another -o, or remove it first"
                        .formatted(target));
    }
}
