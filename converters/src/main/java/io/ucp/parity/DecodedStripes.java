package io.ucp.parity;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.Deque;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/// The lost blocks of the stripes used last. A stripe is decoded once for all lost files in it, by
/// the first thread that asks; others that need it wait for that one.
final class DecodedStripes {
    /// Bytes of decoded blocks that are kept.
    private static final long KEPT = 64L << 20;

    private static final int IDLE_DECODERS = 2;

    private final ProtectedCheckpoint checkpoint;
    private final List<Stripes> sets;
    private final Set<StoredFile> lost;
    private final int limit;
    private final Map<Stripe, Entry> entries = new LinkedHashMap<>(16, 0.75f, true);
    private final Deque<StripeDecoder> idle = new ArrayDeque<>();

    /// @param lost files of the checkpoint and of the parity
    DecodedStripes(ProtectedCheckpoint checkpoint, List<Stripes> sets, Set<StoredFile> lost) {
        this.checkpoint = checkpoint;
        this.sets = sets;
        this.lost = new HashSet<>(lost);
        long ofStripe = (long) checkpoint.manifest().blockSize() * checkpoint.manifest().parity();
        this.limit = (int) Math.max(8, KEPT / ofStripe);
    }

    private static final class Entry {
        private Map<Integer, ByteBuffer> blocks = Map.of();
    }

    /// A lost block, from position 0 to its length; the caller reads a duplicate.
    ByteBuffer block(Stripe at, int element) throws IOException {
        Entry entry = entry(at);
        synchronized (entry) {
            if (entry.blocks.isEmpty()) {
                StripeDecoder decoder = take();
                try {
                    entry.blocks = decoder.decode(at, lost(at));
                } finally {
                    give(decoder);
                }
            }
            return Objects.requireNonNull(entry.blocks.get(element));
        }
    }

    /// The elements of a stripe whose file is lost.
    BitSet lost(Stripe at) {
        BitSet elements = new BitSet();
        for (Stripes.Block block : sets.get(at.set()).blocks(at.index())) {
            if (lost.contains(block.file())) {
                elements.set(block.element());
            }
        }
        return elements;
    }

    private synchronized Entry entry(Stripe at) {
        Entry entry = entries.computeIfAbsent(at, _ -> new Entry());
        Iterator<Stripe> eldest = entries.keySet().iterator();
        while (entries.size() > limit) {
            eldest.next();
            eldest.remove();
        }
        return entry;
    }

    private synchronized StripeDecoder take() {
        return idle.isEmpty() ? new StripeDecoder(checkpoint, sets) : idle.pop();
    }

    /// Those that are kept have files open until the process ends; there are few.
    private void give(StripeDecoder decoder) throws IOException {
        synchronized (this) {
            if (idle.size() < IDLE_DECODERS) {
                idle.push(decoder);
                return;
            }
        }
        decoder.close();
    }
}
