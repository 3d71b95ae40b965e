package io.ucp.execute;

import io.ucp.io.WholeFile;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.TargetPlan;
import io.ucp.tensor.Crc;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;
import java.util.concurrent.atomic.LongAdder;

/// Which windows of a plan lie in the output already, so that a run that was cut off can go on.
///
/// One slot of 12 bytes a window, in the order of the targets: size and CRC-32C of what the window
/// became in its file, and a seal over both and the slot's number (all little-endian). A slot that
/// was never written, is torn or was written by chance is none. Slots are written behind their
/// windows and never flushed: after a power cut either may be there without the other. A slot is
/// therefore only a claim, which holds where the file's bytes have that CRC; a lost one costs one
/// window.
public final class Journal implements Closeable {
    private static final int SLOT = 12;
    private static final int SEAL = 8;
    private static final int SCAN = 1 << 20;

    private final FileChannel channel;
    private final Path file;

    /// Slots before each target, and of all.
    private final long[] before;

    private final boolean resumes;

    private final LongAdder bytesKept = new LongAdder();

    private Journal(FileChannel channel, Path file, long[] before) throws IOException {
        this.channel = channel;
        this.file = file;
        this.before = before;
        this.resumes = channel.size() > 0;
    }

    /// Opens the journal of a plan, or begins it. The caller answers for it that both runs have the
    /// same plan and the same windows.
    ///
    /// @param bufferBytes of [Options#bufferBytes]
    public static Journal open(Path file, CopyPlan plan, int bufferBytes) throws IOException {
        long[] before = new long[plan.targets().size() + 1];
        for (int k = 0; k < plan.targets().size(); k++) {
            TargetPlan target = plan.targets().get(k);
            boolean encoding = target.assembler().isPresent();
            before[k + 1] = before[k] + new Windows(target, bufferBytes, encoding).count();
        }
        FileChannel channel =
                FileChannel.open(
                        file,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE,
                        LinkOption.NOFOLLOW_LINKS);
        return new Journal(channel, file, before);
    }

    /// What a window became.
    ///
    /// @param size bytes in the file
    record Mark(int size, int crc) {
        static Mark of(ByteBuffer bytes) {
            return new Mark(bytes.remaining(), Crc.CASTAGNOLI.of(bytes.duplicate()));
        }

        boolean fits(ByteBuffer bytes) {
            return equals(of(bytes));
        }
    }

    /// The windows of one target.
    final class Windowed {
        private final int target;

        private Windowed(int target) {
            this.target = target;
        }

        /// Whether there was an earlier run.
        boolean resumes() {
            return resumes;
        }

        Optional<Mark> mark(long window) throws IOException {
            if (!resumes) {
                return Optional.empty();
            }
            long number = before[target] + window;
            ByteBuffer slot = slot();
            return read(slot, number * SLOT) == SLOT
                    ? Journal.mark(slot, 0, number)
                    : Optional.empty();
        }

        /// Behind the write of the window's bytes.
        void taken(long window, Mark mark) throws IOException {
            long number = before[target] + window;
            ByteBuffer slot =
                    slot().putInt(0, mark.size())
                            .putInt(4, mark.crc())
                            .putInt(SEAL, seal(mark.size(), mark.crc(), number));
            long at = number * SLOT;
            try {
                while (slot.hasRemaining()) {
                    at += channel.write(slot, at);
                }
            } catch (IOException e) {
                throw WholeFile.named(file, e);
            }
        }

        /// The window's bytes were there.
        void kept(Mark mark) {
            bytesKept.add(mark.size());
        }
    }

    Windowed of(int target) {
        return new Windowed(target);
    }

    /// Bytes of the output that this run found there and took.
    public long bytesKept() {
        return bytesKept.sum();
    }

    /// Bytes that an earlier run says it wrote.
    public long bytesClaimed() throws IOException {
        ByteBuffer part = ByteBuffer.allocate(SCAN).order(ByteOrder.LITTLE_ENDIAN);
        long sum = 0;
        long slots = before[before.length - 1];
        for (long number = 0; number < slots; ) {
            int whole = read(part.clear(), number * SLOT) / SLOT;
            if (whole == 0) {
                break;
            }
            for (int k = 0; k < whole && number < slots; k++, number++) {
                sum += Journal.mark(part, k * SLOT, number).map(Mark::size).orElse(0);
            }
        }
        return sum;
    }

    private static ByteBuffer slot() {
        return ByteBuffer.allocate(SLOT).order(ByteOrder.LITTLE_ENDIAN);
    }

    /// Fills `into` as far as the file goes.
    private int read(ByteBuffer into, long offset) throws IOException {
        int size = 0;
        while (into.hasRemaining()) {
            int n = channel.read(into, offset + size);
            if (n < 0) {
                break;
            }
            size += n;
        }
        return size;
    }

    private static Optional<Mark> mark(ByteBuffer slots, int at, long number) {
        int size = slots.getInt(at);
        int crc = slots.getInt(at + 4);
        return size >= 0 && slots.getInt(at + SEAL) == seal(size, crc, number)
                ? Optional.of(new Mark(size, crc))
                : Optional.empty();
    }

    /// Never that of a slot of zeros.
    private static int seal(int size, int crc, long number) {
        ByteBuffer sealed = ByteBuffer.allocate(16).putInt(size).putInt(crc).putLong(number).flip();
        return Crc.CASTAGNOLI.of(sealed) | 1;
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
