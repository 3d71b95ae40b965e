package io.ucp.execute;

import io.ucp.io.NativeFiles;
import io.ucp.io.WholeFile;
import io.ucp.io.WindowAssembler;
import io.ucp.plan.TargetPlan;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.BooleanSupplier;

/// A file being written, by several workers at once. With a journal it takes what an earlier run
/// left of it.
abstract sealed class Output implements AutoCloseable {
    private static final Set<OpenOption> FRESH =
            Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    private static final Set<OpenOption> JOURNALED =
            Set.of(
                    StandardOpenOption.CREATE,
                    StandardOpenOption.READ,
                    StandardOpenOption.WRITE,
                    LinkOption.NOFOLLOW_LINKS);

    /// File systems of Linux that take memory in blocks as large as a call is (ext4 since 6.16). Of
    /// blocks above eight pages the kernel has no ready ones (`PAGE_ALLOC_COSTLY_ORDER`).
    private static final Set<String> BY_THE_CALL = Set.of("ext4", "xfs");

    private static final int EIGHT_PAGES = 32 << 10;

    private final Path path;
    private final FileChannel channel;
    private final int atOnce;
    private final LongAdder bytesWritten;
    final Optional<Journal.Windowed> journal;

    private Output(
            Path path, int atOnce, LongAdder bytesWritten, Optional<Journal.Windowed> journal)
            throws IOException {
        this.path = path;
        this.atOnce = atOnce;
        this.bytesWritten = bytesWritten;
        this.journal = journal;
        Files.createDirectories(path.resolveSibling("."));
        this.channel = FileChannel.open(path, journal.isPresent() ? JOURNALED : FRESH);
    }

    /// Bytes that one call writes at most, up to a multiple of them in the file. Elsewhere a call
    /// may be a message to a server, so there are as few as there can be.
    static int atOnce(Path folder) {
        try {
            return BY_THE_CALL.contains(Files.getFileStore(folder).type())
                    ? EIGHT_PAGES
                    : Integer.MAX_VALUE;
        } catch (IOException _) { // a folder of a container, whose mount it cannot see
            return Integer.MAX_VALUE;
        }
    }

    /// Fills `into` with a window that is in the file already, as [#take] would have got it.
    ///
    /// @param from byte of the target at which it starts
    /// @return whether there is such a window
    abstract boolean restore(long window, long from, ByteBuffer into) throws IOException;

    /// Takes a window, which starts at byte `from` of the target.
    ///
    /// @param sums of the window
    /// @param journaled whether another run may take it from the file
    abstract void take(long window, long from, ByteBuffer bytes, WindowSums sums, boolean journaled)
            throws IOException;

    /// Writes what follows the last window, once all were taken, and cuts off what an earlier run
    /// left behind it.
    abstract void finish() throws IOException;

    /// Writes all of `bytes` at `offset` of the file.
    final void write(long offset, ByteBuffer bytes) throws IOException {
        long at = offset;
        int end = bytes.limit();
        try {
            while (bytes.position() < end) {
                int most = atOnce - (int) (at % atOnce);
                bytes.limit(bytes.position() + Math.min(end - bytes.position(), most));
                at += channel.write(bytes, at);
            }
        } catch (FileSystemException named) {
            throw named;
        } catch (IOException e) {
            throw WholeFile.named(path, e);
        }
        bytesWritten.add(at - offset);
    }

    /// Makes it a clone of a file of that size.
    ///
    /// @return false where that is not possible; windows can be taken then as before
    final boolean becomes(Path source, long size) throws IOException {
        if (!NativeFiles.clone(source, path)) {
            return false;
        }
        channel.truncate(size);
        return channel.size() == size;
    }

    /// Fills in a checksum field; its zeros were counted as written.
    final void patch(long offset, int crc) throws IOException {
        ByteBuffer field = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(0, crc);
        write(offset, field);
        bytesWritten.add(-4);
    }

    /// Reads all of `into`, or nothing.
    final boolean read(long offset, ByteBuffer into) throws IOException {
        int start = into.position();
        try {
            while (into.hasRemaining()) {
                if (channel.read(into, offset + into.position() - start) < 0) {
                    return false;
                }
            }
            return true;
        } catch (IOException e) {
            throw WholeFile.named(path, e);
        }
    }

    final void cut(long size) throws IOException {
        if (journal.isPresent()) {
            channel.truncate(size);
        }
    }

    final void sync() throws IOException {
        try {
            channel.force(true);
        } catch (IOException e) {
            throw WholeFile.named(path, e);
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }

    /// Every window goes where the plan says.
    static final class Plain extends Output {
        private final TargetPlan plan;

        /// Where checksums are filled in at the end, ascending; empty where nothing is restored.
        private final long[] fields;

        Plain(
                Path path,
                int atOnce,
                LongAdder bytesWritten,
                Optional<Journal.Windowed> journal,
                TargetPlan plan)
                throws IOException {
            super(path, atOnce, bytesWritten, journal);
            this.plan = plan;
            this.fields =
                    journal.isPresent() && journal.get().resumes()
                            ? plan.checksums().items().stream()
                                    .flatMap(field -> field.at().stream())
                                    .mapToLong(at -> at)
                                    .sorted()
                                    .toArray()
                            : new long[0];
        }

        /// A file that was finished has its checksums filled in, which the window did not have.
        @Override
        boolean restore(long window, long from, ByteBuffer into) throws IOException {
            Optional<Journal.Mark> mark =
                    journal.isPresent() ? journal.get().mark(window) : Optional.empty();
            if (mark.isEmpty() || !read(from, into.duplicate())) {
                return false;
            }
            long to = from + into.limit();
            int k = Arrays.binarySearch(fields, from - 3);
            for (k = k < 0 ? -k - 1 : k; k < fields.length && fields[k] < to; k++) {
                for (long b = Math.max(fields[k], from); b < Math.min(fields[k] + 4, to); b++) {
                    into.put((int) (b - from), (byte) 0);
                }
            }
            if (!mark.get().fits(into)) {
                return false;
            }
            journal.get().kept(mark.get());
            return true;
        }

        @Override
        void take(long window, long from, ByteBuffer bytes, WindowSums sums, boolean journaled)
                throws IOException {
            write(from, bytes.duplicate());
            if (journaled && journal.isPresent()) {
                journal.get()
                        .taken(
                                window,
                                new Journal.Mark(bytes.limit(), sums.castagnoli(0, bytes.limit())));
            }
        }

        @Override
        void finish() throws IOException {
            cut(plan.size());
        }
    }

    /// Windows are encoded by the workers and written end to end. A worker waits for those before
    /// its own, which other workers hold already: at most one encoded window a worker is in memory.
    static final class Encoded extends Output {
        private final WindowAssembler assembler;
        private final BooleanSupplier stopped;
        private final Queue<WindowAssembler.Encoder> idle = new ConcurrentLinkedQueue<>();
        private final long[] sizes;

        /// Where an earlier run wrote its first windows, and the end of the last of them.
        private final long[] found;

        private int turn;
        private long end;

        Encoded(
                Path path,
                int atOnce,
                LongAdder bytesWritten,
                Optional<Journal.Windowed> journal,
                WindowAssembler assembler,
                BooleanSupplier stopped)
                throws IOException {
            super(path, atOnce, bytesWritten, journal);
            this.assembler = assembler;
            this.stopped = stopped;
            this.sizes = new long[assembler.cuts().size()];
            this.found = found();
        }

        private long[] found() throws IOException {
            long[] places = new long[sizes.length + 1];
            int known = 0;
            while (journal.isPresent() && known < sizes.length) {
                Optional<Journal.Mark> mark = journal.get().mark(known);
                if (mark.isEmpty()) {
                    break;
                }
                places[known + 1] = places[known] + mark.get().size();
                known++;
            }
            return Arrays.copyOf(places, known + 1);
        }

        @Override
        boolean restore(long window, long from, ByteBuffer into) throws IOException {
            if (journal.isEmpty() || window + 1 >= found.length) {
                return false;
            }
            int number = Math.toIntExact(window);
            int size = Math.toIntExact(found[number + 1] - found[number]);
            if (size > 2L * into.remaining() + 4096) {
                return false;
            }
            ByteBuffer encoded = ByteBuffer.allocateDirect(size);
            Optional<Journal.Mark> mark = journal.get().mark(window);
            if (mark.isEmpty()
                    || !read(found[number], encoded)
                    || !mark.get().fits(encoded.flip())
                    || !assembler.decode(number, encoded, into.duplicate())) {
                return false;
            }
            synchronized (this) {
                await(window);
                if (end != found[number]) {
                    return false; // one before it was encoded anew and has another size now
                }
                passed(size);
            }
            journal.get().kept(mark.get());
            return true;
        }

        @Override
        void take(long window, long from, ByteBuffer bytes, WindowSums sums, boolean journaled)
                throws IOException {
            if (sizes.length == 0) {
                return;
            }
            WindowAssembler.Encoder encoder = idle.poll();
            if (encoder == null) {
                encoder = assembler.encoder();
            }
            try {
                ByteBuffer encoded = encoder.encode(Math.toIntExact(window), bytes);
                Optional<Journal.Mark> mark =
                        journaled && journal.isPresent()
                                ? Optional.of(Journal.Mark.of(encoded))
                                : Optional.empty();
                synchronized (this) {
                    await(window);
                    write(end, encoded.duplicate());
                    if (mark.isPresent()) {
                        journal.orElseThrow().taken(window, mark.get());
                    }
                    passed(encoded.remaining());
                }
            } finally {
                idle.add(encoder);
            }
        }

        private synchronized void await(long window) {
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
        }

        private synchronized void passed(long size) {
            sizes[turn++] = size;
            end += size;
            notifyAll();
        }

        @Override
        synchronized void finish() throws IOException {
            ByteBuffer rest = assembler.epilogue(sizes);
            cut(end + rest.remaining());
            write(end, rest);
        }

        @Override
        public void close() throws IOException {
            idle.forEach(WindowAssembler.Encoder::close);
            super.close();
        }
    }
}
