package io.ucp.cli;

/// A spec that is neither a file nor bundled.
final class UnknownSpecException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /// @param finding the name and what was found
    UnknownSpecException(String finding, String remedy) {
        super("%s; expected a file or one of the bundled names\nhint: %s".formatted(finding, remedy));
    }
}
