package io.ucp.formats.distcp;

import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.FileStamp;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Optional;

/// A file that is read from front to back in small reads, by few large ones. For one thread; its
/// readers share one window and close nothing.
final class WindowedSource implements ByteSource {
    private static final int WINDOW = 1 << 16;

    private final ByteSource file;
    private final ByteReader reader;
    private final ByteBuffer window = ByteBuffer.allocate(WINDOW).limit(0);
    private long start;

    WindowedSource(ByteSource file, ByteReader reader) {
        this.file = file;
        this.reader = reader;
    }

    @Override
    public Path path() {
        return file.path();
    }

    @Override
    public long size() {
        return file.size();
    }

    @Override
    public Optional<FileStamp> stamp() {
        return file.stamp();
    }

    @Override
    public ByteReader open() {
        return new ByteReader() {
            @Override
            public void read(long offset, ByteBuffer into) throws IOException {
                if (into.remaining() > WINDOW || offset > size() - into.remaining()) {
                    reader.read(offset, into);
                    return;
                }
                if (offset < start || offset + into.remaining() > start + window.limit()) {
                    window.clear().limit((int) Math.min(WINDOW, size() - offset));
                    start = offset;
                    reader.read(offset, window);
                    window.flip();
                }
                into.put(window.slice((int) (offset - start), into.remaining()));
            }

            @Override
            public void close() {}
        };
    }
}
