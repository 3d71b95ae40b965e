package io.ucp.convert;

import java.nio.file.Path;

/// Never thrown: goes along with what is wrong with a checkpoint whose files were written just now,
/// so that its job may still be at it.
public final class FreshFilesException extends Exception {
    FreshFilesException(Path source, long seconds) {
        super(
                "%s has files that were written within the last %d seconds"
                        .formatted(source, seconds));
    }
}
