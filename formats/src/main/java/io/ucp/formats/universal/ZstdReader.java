package io.ucp.formats.universal;

import io.ucp.io.ByteReader;
import io.ucp.io.MalformedFileException;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.ArrayList;
import java.util.List;

/// Reads the compressed record batches of a [StateFileView] as one run of bytes, keeping the few
/// last ones decompressed. All readers together hold at most [#SLOTS] batches of at most
/// [Limits#MAX_COMPRESSED_BATCH], and at most twice as much for as many as are read at once
/// ([Scratch]), however many are open. Closes the channel.
final class ZstdReader implements ByteReader {
    private static final int SLOTS = 16;

    /// Least recently used first; guarded by itself.
    private static final List<Slot> POOL = new ArrayList<>();

    private final StateFileView view;
    private final FileChannel channel;

    ZstdReader(StateFileView view, FileChannel channel) {
        this.view = view;
        this.channel = channel;
    }

    /// A decompressed batch; guarded by itself.
    private static final class Slot {
        /// The batch that was last asked of it; guarded by [#POOL].
        Key wanted = Key.NONE;

        Key held = Key.NONE;
        ByteBuffer raw = ByteBuffer.allocateDirect(0);
    }

    /// A batch of one open file; readers are compared by identity.
    private record Key(@Nullable ZstdReader reader, int batch) {
        static final Key NONE = new Key(null, -1);
    }

    @Override
    public void read(long offset, ByteBuffer into) throws IOException {
        if (offset < 0 || offset > view.size() - into.remaining()) {
            throw Channels.pastEnd(view.path(), offset, into.remaining(), view.size());
        }
        long at = offset;
        while (into.hasRemaining()) {
            int batch = view.batchAt(at);
            int skipped = Math.toIntExact(at - view.starts[batch]);
            int n = Math.min(into.remaining(), view.rawSize(batch) - skipped);
            Key key = new Key(this, batch);
            Slot slot = slot(key);
            synchronized (slot) {
                if (!slot.held.equals(key)) {
                    slot.held = Key.NONE;
                    try (Scratch scratch = Scratch.take()) {
                        fill(slot, batch, scratch);
                    }
                    slot.held = key;
                }
                into.put(slot.raw.slice(skipped, n));
            }
            at += n;
        }
    }

    private static Slot slot(Key key) {
        synchronized (POOL) {
            Slot chosen = null;
            for (Slot slot : POOL) {
                if (slot.wanted.equals(key)) {
                    chosen = slot;
                }
            }
            if (chosen == null) {
                chosen = POOL.size() < SLOTS ? new Slot() : POOL.getFirst();
                chosen.wanted = key;
            }
            POOL.remove(chosen);
            POOL.add(chosen);
            return chosen;
        }
    }

    /// Frees its slots for others, the eldest first.
    private void forget() {
        List<Slot> mine = new ArrayList<>();
        synchronized (POOL) {
            for (Slot slot : POOL) {
                if (slot.wanted.reader() == this) {
                    slot.wanted = Key.NONE;
                    mine.add(slot);
                }
            }
            POOL.removeAll(mine);
            POOL.addAll(0, mine);
        }
        for (Slot slot : mine) {
            synchronized (slot) {
                if (slot.held.reader() == this) {
                    slot.held = Key.NONE;
                }
            }
        }
    }

    private void fill(Slot slot, int batch, Scratch scratch) throws IOException {
        int rawSize = view.rawSize(batch);
        long body = view.bodies[batch];
        long[] lengths = view.stored(batch);
        int size = Math.toIntExact(ArrowFraming.offset(lengths, lengths.length));
        ByteBuffer stored = scratch.stored(size);
        Channels.read(channel, view.path(), body, stored);
        stored.position(0);
        slot.raw = ZstdBuffer.atLeast(slot.raw, rawSize);
        ByteBuffer values = view.shuffled() ? scratch.sorted(rawSize) : slot.raw;
        int each = rawSize / lengths.length;
        for (int b = 0; b < lengths.length; b++) {
            int from = (int) ArrowFraming.offset(lengths, b);
            requirePadding(body, stored, from);
            stored.limit(Math.toIntExact(from + lengths[b]));
            try {
                ZstdBuffer.read(stored, values.slice(b * each, each));
            } catch (ZstdFrames.DamagedException e) {
                throw wrong(body + e.at, e.found, each);
            }
            if (stored.hasRemaining()) {
                throw wrong(
                        body + stored.position(),
                        "%d bytes behind the last zstd frame".formatted(stored.remaining()),
                        each);
            }
        }
        if (view.shuffled()) {
            scratch.planes.join(values, slot.raw, lengths.length);
        }
    }

    /// That zeros lie between the end of a buffer, where `stored` stands, and the next.
    private void requirePadding(long body, ByteBuffer stored, int next) throws IOException {
        stored.limit(next);
        while (stored.hasRemaining()) {
            int at = stored.position();
            if (stored.get() != 0) {
                throw wrong(body + at, "no padding before the next buffer", "zeros");
            }
        }
    }

    /// @param size bytes of the buffer's values
    private MalformedFileException wrong(long offset, String found, int size) {
        return wrong(offset, found, "the %d bytes of its rows".formatted(size));
    }

    private MalformedFileException wrong(long offset, String found, String expected) {
        return new MalformedFileException(
                view.path(), offset, found, expected, "copy the checkpoint again");
    }

    @Override
    public void close() throws IOException {
        forget();
        channel.close();
    }
}
