package io.ucp.snapshot;

import io.ucp.convert.RunOptions;
import io.ucp.io.WholeFile;
import io.ucp.parity.NewFolder;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;

/// Copies files in small steps, so that it can be slowed down and stopped.
final class FolderCopy {
    private static final int STEP = 1 << 20;

    private final RateLimit rate;
    private final boolean sync;
    private final BooleanSupplier cancelled;
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(STEP);

    FolderCopy(RateLimit rate, RunOptions options) {
        this.rate = rate;
        this.sync = options.output().sync();
        this.cancelled = options.cancelled();
    }

    /// The copy appears whole, with the times of its files; what has its name stays until then.
    void folder(Saved from, Path to) throws IOException {
        try (NewFolder made = NewFolder.replacing(to, sync)) {
            made.requireSpace(from.bytes());
            for (Map.Entry<String, Saved.Stamp> each : from.files().entrySet()) {
                file(
                        from.folder().resolve(each.getKey()),
                        made.path().resolve(each.getKey()),
                        each.getValue().modified());
            }
            if (!from.isLike(from.folder()) || !from.isLike(made.path())) {
                throw new FileSystemException(
                        from.folder().toString(),
                        null,
                        "it changed while it was copied; expected a checkpoint that is finished\n"
                                + "hint: a longer --settled waits until its job is done with it");
            }
            made.commit();
        }
    }

    private void file(Path from, Path to, FileTime modified) throws IOException {
        Files.createDirectories(to.resolveSibling("."));
        try (FileChannel source = FileChannel.open(from, StandardOpenOption.READ);
                FileChannel target =
                        FileChannel.open(
                                to, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            while (read(from, source) >= 0) {
                if (cancelled.getAsBoolean()) {
                    throw new CancellationException("stopped");
                }
                long count = buffer.remaining();
                write(to, target);
                rate.moved(count);
            }
            Files.setLastModifiedTime(to, modified);
            if (sync) {
                target.force(true);
            }
        }
    }

    private int read(Path from, FileChannel source) throws IOException {
        try {
            int count = source.read(buffer.clear());
            buffer.flip();
            return count;
        } catch (IOException e) {
            throw WholeFile.named(from, e);
        }
    }

    private void write(Path to, FileChannel target) throws IOException {
        try {
            while (buffer.hasRemaining()) {
                target.write(buffer);
            }
        } catch (IOException e) {
            throw WholeFile.named(to, e);
        }
    }
}
