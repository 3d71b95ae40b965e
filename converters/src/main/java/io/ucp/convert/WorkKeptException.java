package io.ucp.convert;

import java.nio.file.Path;

/// Never thrown: goes along with what ended a conversion, and says what is kept of it.
public final class WorkKeptException extends Exception {
    private final transient Path work;
    private final long size;

    WorkKeptException(Path work, long size) {
        super("%,d bytes are kept in %s".formatted(size, work));
        this.work = work;
        this.size = size;
    }

    /// The folder to remove where nobody goes on with it.
    public Path work() {
        return work;
    }

    /// Bytes of the output that need not be written again.
    public long size() {
        return size;
    }
}
