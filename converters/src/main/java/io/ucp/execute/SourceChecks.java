package io.ucp.execute;

import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;
import io.ucp.tensor.Crc;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;

/// Holds what is read of sources against the checksums that they keep, as it is read: in runs of
/// any order, by any worker, each byte counted once however often it is read.
///
/// An entry that is read but for a few bytes (the padding behind a flat group) is completed at the
/// end; one that is not needed as a whole is left to `ucp verify`.
final class SourceChecks {
    /// Bytes of an entry that are read for its checksum alone, at most.
    private static final int LEFT = 64 << 10;

    /// Stretches of entries in progress that are remembered, at most: about 20 MB.
    private static final int STRETCHES = 1 << 18;

    private final Map<ByteSource, TreeMap<Long, Entry>> entries = new HashMap<>();
    private final AtomicInteger stretches = new AtomicInteger();

    SourceChecks(List<Checksummed> checksums) {
        for (Checksummed each : checksums) {
            entries.computeIfAbsent(each.source(), _ -> new TreeMap<>())
                    .put(each.offset(), new Entry(each));
        }
    }

    /// Of what was read.
    interface Sums {
        /// CRC-32 of bytes `[low, high)` of it.
        int zip(int low, int high);
    }

    /// Counts bytes that were read.
    ///
    /// @param offset of the first, in the source
    void add(ByteSource source, long offset, int size, Sums sums) {
        TreeMap<Long, Entry> known = entries.get(source);
        if (known == null) {
            return;
        }
        long end = offset + size;
        Long first = known.floorKey(offset);
        for (Entry entry :
                known.subMap(first == null ? offset : first, true, end, false).values()) {
            entry.add(offset, size, sums);
        }
    }

    /// Reads what little is missing of entries and compares.
    ///
    /// @throws io.ucp.io.MalformedFileException where an entry is not what it was
    void finish(OpenSources sources) throws IOException {
        for (TreeMap<Long, Entry> of : entries.values()) {
            for (Entry entry : of.values()) {
                entry.finish(sources);
            }
        }
    }

    private record Stretch(long from, long to) {
        long size() {
            return to - from;
        }
    }

    private final class Entry {
        private final Checksummed of;

        /// First byte -> one past the last, of stretches that neither overlap nor touch.
        private final TreeMap<Long, Long> counted = new TreeMap<>();

        /// What the counted bytes add to the checksum.
        private int sum;

        private boolean givenUp;

        Entry(Checksummed of) {
            this.of = of;
        }

        void add(long offset, int size, Sums sums) {
            long low = Math.max(offset, of.offset());
            long high = Math.min(offset + size, of.end());
            if (low >= high) {
                return;
            }
            int moved = 0;
            for (Stretch s : claim(low, high)) {
                int crc = sums.zip((int) (s.from - offset), (int) (s.to - offset));
                moved ^= Crc.ZIP.before(crc, of.end() - s.to);
            }
            count(moved);
        }

        private synchronized void count(int moved) {
            sum ^= moved;
        }

        /// What of a stretch nobody counted yet; from now on it counts.
        private synchronized List<Stretch> claim(long low, long high) {
            if (givenUp) {
                return List.of();
            }
            List<Stretch> fresh = missing(low, high);
            if (fresh.isEmpty()) {
                return fresh;
            }
            int before = counted.size();
            long from = low;
            long to = high;
            var touching = counted.floorEntry(high);
            while (touching != null && touching.getValue() >= low) {
                from = Math.min(from, touching.getKey());
                to = Math.max(to, touching.getValue());
                counted.remove(touching.getKey());
                touching = counted.floorEntry(high);
            }
            counted.put(from, to);
            if (stretches.addAndGet(counted.size() - before) > STRETCHES) {
                givenUp = true;
                stretches.addAndGet(-counted.size());
                counted.clear();
                return List.of();
            }
            return fresh;
        }

        private List<Stretch> missing(long low, long high) {
            List<Stretch> missing = new ArrayList<>();
            long at = low;
            var before = counted.floorEntry(low);
            for (var held :
                    counted.subMap(before == null ? low : before.getKey(), true, high, false)
                            .entrySet()) {
                if (held.getKey() > at) {
                    missing.add(new Stretch(at, held.getKey()));
                }
                at = Math.max(at, held.getValue());
            }
            if (at < high) {
                missing.add(new Stretch(at, high));
            }
            return missing;
        }

        private void finish(OpenSources sources) throws IOException {
            if (counted.isEmpty()) {
                return;
            }
            List<Stretch> left = missing(of.offset(), of.end());
            if (left.stream().mapToLong(Stretch::size).sum() > LEFT) {
                return;
            }
            for (Stretch s : left) { // counted as they are read
                sources.read(
                        of.source(), s.from, ByteBuffer.allocate((int) s.size()), new WindowSums());
            }
            if (sum != of.crc()) {
                throw of.damaged(sum);
            }
        }
    }
}
