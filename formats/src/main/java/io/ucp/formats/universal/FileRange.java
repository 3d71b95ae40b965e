package io.ucp.formats.universal;

import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.FileStamp;
import io.ucp.io.PlainFile;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Optional;

/// A part of a file as a source of its own.
///
/// @param from bytes from the start of the file
record FileRange(PlainFile file, long from, long size) implements ByteSource {
    @Override
    public Path path() {
        return file.path();
    }

    @Override
    public Optional<FileStamp> stamp() {
        return file.stamp();
    }

    @Override
    public ByteReader open() throws IOException {
        ByteReader reader = file.open();
        return new ByteReader() {
            @Override
            public void read(long offset, ByteBuffer into) throws IOException {
                if (offset < 0 || offset > size - into.remaining()) {
                    throw Channels.pastEnd(path(), offset, into.remaining(), size);
                }
                reader.read(from + offset, into);
            }

            @Override
            public void close() throws IOException {
                reader.close();
            }
        };
    }
}
