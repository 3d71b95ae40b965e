package io.ucp.execute;

import io.ucp.io.WindowAssembler;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.BooleanSupplier;

/// A file being written, by several workers at once.
abstract sealed class Output implements AutoCloseable {
    private final Path path;
    private final FileChannel channel;
    private final LongAdder bytesWritten;

    private Output(Path path, LongAdder bytesWritten) throws IOException {
        this.path = path;
        this.bytesWritten = bytesWritten;
        Files.createDirectories(path.resolveSibling("."));
        this.channel =
                FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    }

    /// Takes a window, which starts at byte `from` of the target.
    abstract void take(long window, long from, ByteBuffer bytes) throws IOException;

    /// Writes what follows the last window, once all were taken.
    abstract void finish() throws IOException;

    /// Writes all of `bytes` at `offset` of the file.
    final void write(long offset, ByteBuffer bytes) throws IOException {
        long at = offset;
        try {
            while (bytes.hasRemaining()) {
                at += channel.write(bytes, at);
            }
        } catch (FileSystemException named) {
            throw named;
        } catch (IOException e) {
            throw OpenSources.named(path.toString(), e);
        }
        bytesWritten.add(at - offset);
    }

    /// Fills in a checksum field; its zeros were counted as written.
    final void patch(long offset, int crc) throws IOException {
        ByteBuffer field = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(0, crc);
        write(offset, field);
        bytesWritten.add(-4);
    }

    final void sync() throws IOException {
        try {
            channel.force(true);
        } catch (IOException e) {
            throw OpenSources.named(path.toString(), e);
        }
    }

    @Override
    public final void close() throws IOException {
        channel.close();
    }

    /// Every window goes where the plan says.
    static final class Plain extends Output {
        Plain(Path path, LongAdder bytesWritten) throws IOException {
            super(path, bytesWritten);
        }

        @Override
        void take(long window, long from, ByteBuffer bytes) throws IOException {
            write(from, bytes);
        }

        @Override
        void finish() {}
    }

    /// Windows are encoded by the workers and written end to end. A worker waits for those before
    /// its own, which other workers hold already: at most one encoded window a worker is in memory.
    static final class Encoded extends Output {
        private final WindowAssembler assembler;
        private final BooleanSupplier stopped;
        private final long[] sizes;
        private int turn;
        private long end;

        Encoded(
                Path path,
                LongAdder bytesWritten,
                WindowAssembler assembler,
                BooleanSupplier stopped)
                throws IOException {
            super(path, bytesWritten);
            this.assembler = assembler;
            this.stopped = stopped;
            this.sizes = new long[assembler.cuts().size()];
        }

        @Override
        void take(long window, long from, ByteBuffer bytes) throws IOException {
            if (sizes.length == 0) {
                return;
            }
            ByteBuffer encoded = assembler.encode(Math.toIntExact(window), bytes);
            synchronized (this) {
                while (turn != window) {
                    if (stopped.getAsBoolean()) {
                        throw new CancellationException("stopped");
                    }
                    try {
                        wait(100);
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                        throw new CancellationException("interrupted");
                    }
                }
                sizes[turn] = encoded.remaining();
                write(end, encoded);
                end += sizes[turn++];
                notifyAll();
            }
        }

        @Override
        synchronized void finish() throws IOException {
            write(end, assembler.epilogue(sizes));
        }
    }
}
