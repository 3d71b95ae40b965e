package io.ucp.formats.torch;

import io.ucp.io.ByteReader;
import io.ucp.io.MalformedFileException;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;

/// The part of a file that holds one container: the whole file, or an item inside a larger one.
/// Offsets here are relative to it; errors name bytes of the file.
record Region(Path path, ByteReader reader, long base, long length) {
    /// Little-endian bytes, all of them there.
    ByteBuffer read(long offset, int size) throws IOException {
        if (offset < 0 || offset > length || size > length - offset) {
            throw malformed(
                    offset, "%d bytes are needed here".formatted(size), "them before the end");
        }
        ByteBuffer buffer = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
        reader.read(base + offset, buffer);
        return buffer.flip();
    }

    MalformedFileException malformed(long offset, String found, String expected) {
        return malformed(
                offset,
                found,
                expected,
                "the file is damaged or cut short; copy it again from where it was written");
    }

    MalformedFileException malformed(long offset, String found, String expected, String remedy) {
        return new MalformedFileException(path, base + offset, found, expected, remedy);
    }
}
