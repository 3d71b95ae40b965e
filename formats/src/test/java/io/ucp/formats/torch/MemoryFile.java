package io.ucp.formats.torch;

import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.MalformedFileException;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/// A file's bytes in memory, for tests that open thousands.
final class MemoryFile implements ByteSource {
    private final byte[] bytes;

    MemoryFile(byte[] bytes) {
        this.bytes = bytes;
    }

    @Override
    public Path path() {
        return Path.of("memory.pt");
    }

    @Override
    public long size() {
        return bytes.length;
    }

    @Override
    public ByteReader open() {
        return new ByteReader() {
            @Override
            public void read(long offset, ByteBuffer into) throws IOException {
                if (offset > bytes.length - into.remaining()) {
                    throw new MalformedFileException(path(), offset, "the end", "more", "");
                }
                into.put(bytes, (int) offset, into.remaining());
            }

            @Override
            public void close() {}
        };
    }
}
