package io.ucp.execute;

import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.MalformedFileException;
import io.ucp.io.WholeFile;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileSystemException;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;

/// Readers of sources, opened once, shared by the workers, and closed least recently used first
/// where there are more than may be open.
final class OpenSources implements AutoCloseable {
    private final int limit;
    private final SourceChecks checks;
    private final Map<ByteSource, Entry> entries = new LinkedHashMap<>(16, 0.75f, true);
    private final LongAdder bytesRead = new LongAdder();
    private long opened;

    /// @param checks told what is read
    OpenSources(int limit, SourceChecks checks) {
        this.limit = limit;
        this.checks = checks;
    }

    private static final class Entry {
        final ByteReader reader;
        int users;

        Entry(ByteReader reader) {
            this.reader = reader;
        }
    }

    /// Fills `into` from `offset` of the source.
    ///
    /// @param sums of the window that is being filled, which `into` may be
    void read(ByteSource source, long offset, ByteBuffer into, WindowSums sums) throws IOException {
        int size = into.remaining();
        int start = into.position();
        try {
            Entry entry = acquire(source);
            try {
                entry.reader.read(offset, into);
            } finally {
                release(entry);
            }
        } catch (MalformedFileException | FileSystemException named) {
            throw named;
        } catch (IOException e) {
            throw WholeFile.named(source.path(), e);
        }
        bytesRead.add(size);
        checks.add(source, offset, size, (low, high) -> sums.zip(into, start + low, start + high));
    }

    private synchronized Entry acquire(ByteSource source) throws IOException {
        Entry entry = entries.get(source);
        if (entry == null) {
            evict(limit - 1);
            entry = new Entry(source.open());
            entries.put(source, entry);
            opened++;
        }
        entry.users++;
        return entry;
    }

    private synchronized void release(Entry entry) {
        entry.users--;
    }

    private void evict(int keep) throws IOException {
        Iterator<Entry> eldest = entries.values().iterator();
        while (entries.size() > keep && eldest.hasNext()) {
            Entry entry = eldest.next();
            if (entry.users == 0) {
                eldest.remove();
                entry.reader.close();
            }
        }
    }

    long bytesRead() {
        return bytesRead.sum();
    }

    synchronized long opened() {
        return opened;
    }

    @Override
    public synchronized void close() throws IOException {
        evict(0);
    }
}
