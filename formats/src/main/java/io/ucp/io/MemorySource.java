package io.ucp.io;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Optional;

/// A small file that is known by heart, or that is made of one.
///
/// @param path of the file that it is or is made of
/// @param stamp of the file that it is made of
public record MemorySource(Path path, byte[] bytes, Optional<FileStamp> stamp)
        implements ByteSource {
    /// A file that is not there, or that nobody has to look at again.
    public MemorySource(Path path, byte[] bytes) {
        this(path, bytes, Optional.empty());
    }

    @Override
    public long size() {
        return bytes.length;
    }

    @Override
    public ByteReader open() {
        return new ByteReader() {
            @Override
            public void read(long offset, ByteBuffer into) {
                into.put(bytes, Math.toIntExact(offset), into.remaining());
            }

            @Override
            public void close() {}
        };
    }
}
