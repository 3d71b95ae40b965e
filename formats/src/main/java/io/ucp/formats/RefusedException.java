package io.ucp.formats;

/// What cannot be proven or would lose something, and is therefore not done: exit code 5. The
/// remedy names the option or the lines that make it possible.
public final class RefusedException extends RuntimeException {
    public RefusedException(String place, String found, String expected, String remedy) {
        super(
                "%s: %s; expected %s%s"
                        .formatted(
                                place,
                                found,
                                expected,
                                remedy.isEmpty() ? "" : "\nhint: " + remedy));
    }
}
