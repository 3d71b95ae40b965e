package io.ucp.convert;

import java.io.IOException;
import java.nio.file.Path;

/// An earlier run was cut off, or is running still: exit code 2. The user says which.
public final class LeftoverException extends IOException {
    private LeftoverException(String message) {
        super(message);
    }

    static LeftoverException cutOff(Path target, Path work) {
        return new LeftoverException(
                "%s: an earlier conversion to it was cut off; expected --resume or --restart\nhint: --resume goes on with what lies in %s, --restart removes it and begins again"
                        .formatted(target, work));
    }

    static LeftoverException running(Path target, String process) {
        return new LeftoverException(
                "%s: another ucp is writing it (%s); expected none\nhint: wait for it, or choose another -o"
                        .formatted(target, process));
    }
}
