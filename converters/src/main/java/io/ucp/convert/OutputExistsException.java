package io.ucp.convert;

import java.io.IOException;
import java.nio.file.Path;

/// The output is there already: exit code 2. Nothing is ever written over.
public final class OutputExistsException extends IOException {
    public OutputExistsException(Path target) {
        this(target, "");
    }

    private OutputExistsException(Path target, String way) {
        super(
                "%s: it exists already; expected a name that is free\nhint: choose another -o, %sor remove it first"
                        .formatted(target, way));
    }

    /// Where a checkpoint that is there may be replaced.
    public static OutputExistsException replaceable(Path target) {
        return new OutputExistsException(
                target, "--overwrite where it is a checkpoint that is to be replaced, ");
    }
}
