package io.ucp.convert;

import io.ucp.lang.diagnostic.NearestNames;

import java.util.List;

/// `--to` or `--from` names no format: exit code 2.
public final class UnknownFormatException extends RuntimeException {
    /// @param option `--to` or `--from`
    public UnknownFormatException(String option, String name, List<String> known) {
        super(
                "%s %s: there is no such format; expected one of %s\nhint: %s"
                        .formatted(
                                option, name, String.join(", ", known), hint(option, name, known)));
    }

    private static String hint(String option, String name, List<String> known) {
        return NearestNames.hint(name, known)
                .orElse(
                        option.equals("--from")
                                ? "leave --from out to take what the folder holds"
                                : "name one of them");
    }
}
