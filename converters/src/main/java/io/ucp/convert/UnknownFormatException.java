package io.ucp.convert;

import java.util.List;

/// `--to` names no format: exit code 2.
public final class UnknownFormatException extends RuntimeException {
    public UnknownFormatException(String name, List<String> known) {
        super(
                "--to %s: there is no such format; expected one of %s"
                        .formatted(name, String.join(", ", known)));
    }
}
