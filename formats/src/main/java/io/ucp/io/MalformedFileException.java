package io.ucp.io;

import java.io.IOException;
import java.nio.file.Path;

/// A file that is not what its format says: exit code 3. Place, finding, expectation, remedy.
public final class MalformedFileException extends IOException {
    private final transient Path file;
    private final long offset;
    private final String problem;

    /// @param offset bytes from the start of the file, or -1 where no single byte is to blame
    /// @param remedy what the user can do; may be empty
    public MalformedFileException(
            Path file, long offset, String found, String expected, String remedy) {
        super(message(file, offset, found, expected, remedy));
        this.file = file;
        this.offset = offset;
        this.problem =
                "%s%s; expected %s"
                        .formatted(offset < 0 ? "" : "at byte " + offset + ": ", found, expected);
    }

    private static String message(
            Path file, long offset, String found, String expected, String remedy) {
        String place = offset < 0 ? file.toString() : "%s at byte %d".formatted(file, offset);
        String hint = remedy.isEmpty() ? "" : "\nhint: " + remedy;
        return "%s: %s; expected %s%s".formatted(place, found, expected, hint);
    }

    public Path file() {
        return file;
    }

    public long offset() {
        return offset;
    }

    /// The message in one line without the file and the remedy, for a table that names the file
    /// beside it: `at byte 64: FOUND; expected EXPECTED`.
    public String problem() {
        return problem;
    }
}
