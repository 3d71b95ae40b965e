package io.ucp.formats;

import java.io.IOException;

/// A checkpoint whose files are whole each but not together: a rank missing, two that disagree.
/// Exit code 3.
public final class IncompleteCheckpointException extends IOException {
    public IncompleteCheckpointException(
            String place, String found, String expected, String remedy) {
        super(
                "%s: %s; expected %s%s"
                        .formatted(
                                place,
                                found,
                                expected,
                                remedy.isEmpty() ? "" : "\nhint: " + remedy));
    }
}
