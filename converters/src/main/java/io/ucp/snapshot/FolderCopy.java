package io.ucp.snapshot;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;

/// Copies files in small steps, so that it can be slowed down and stopped.
final class FolderCopy {
    private static final int STEP = 1 << 20;

    private final RateLimit rate;
    private final boolean sync;
    private final BooleanSupplier cancelled;
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(STEP);

    FolderCopy(RateLimit rate, boolean sync, BooleanSupplier cancelled) {
        this.rate = rate;
        this.sync = sync;
        this.cancelled = cancelled;
    }

    void file(Path from, Path to, FileTime modified) throws IOException {
        Files.createDirectories(to.resolveSibling("."));
        try (FileChannel source = FileChannel.open(from, StandardOpenOption.READ);
                FileChannel target =
                        FileChannel.open(
                                to, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            while (source.read(buffer.clear()) >= 0) {
                if (cancelled.getAsBoolean()) {
                    throw new CancellationException("stopped");
                }
                buffer.flip();
                long count = buffer.remaining();
                while (buffer.hasRemaining()) {
                    target.write(buffer);
                }
                rate.moved(count);
            }
            if (sync) {
                target.force(true);
            }
        }
        Files.setLastModifiedTime(to, modified);
    }
}
