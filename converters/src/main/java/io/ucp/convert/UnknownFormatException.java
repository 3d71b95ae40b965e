package io.ucp.convert;

import java.util.List;

/// `--to` or `--from` names no format: exit code 2.
public final class UnknownFormatException extends RuntimeException {
    /// @param option `--to` or `--from`
    public UnknownFormatException(String option, String name, List<String> known) {
        super(
                "%s %s: there is no such format; expected one of %s"
                        .formatted(option, name, String.join(", ", known)));
    }
}
