package io.ucp.formats.universal;

import io.ucp.io.MalformedFileException;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;

/// Says where a state file is not what its manifest says.
///
/// @param path of the file
record StateFileFaults(Path path) {
    private static final String COPY = "copy the checkpoint again";

    /// Bytes of the file, `offset` from its start.
    record Region(long offset, int size) {}

    /// The flatbuffer of a message.
    static ByteBuffer flatbuffer(Region region, byte[] message) {
        return ByteBuffer.wrap(message, 8, region.size() - 8).slice();
    }

    /// Checks the checksum in the last four bytes of a message or the footer.
    ///
    /// @param offset of `bytes` in the file
    void sealed(long offset, byte[] bytes) throws MalformedFileException {
        int size = bytes.length - 4;
        if (ArrowFraming.little(bytes).getInt(size) != ArrowFraming.checksum(bytes, 0, size)) {
            throw wrong(
                    offset,
                    "%d bytes of Arrow metadata whose checksum does not match".formatted(size),
                    "the CRC-32C in their last four bytes");
        }
    }

    void same(long offset, byte[] expected, byte[] found, String what)
            throws MalformedFileException {
        int differs = Arrays.mismatch(expected, found);
        if (differs >= 0) {
            throw wrong(
                    offset + differs,
                    "byte 0x%02x".formatted(found[differs]),
                    "0x%02x: %s".formatted(expected[differs], what));
        }
    }

    void require(Region where, boolean holds, String found) throws MalformedFileException {
        if (!holds) {
            throw wrong(where.offset(), found, "what the manifest says");
        }
    }

    MalformedFileException damaged(Region region, RuntimeException cause) {
        MalformedFileException e =
                wrong(region.offset(), "Arrow metadata that points outside itself", "a flatbuffer");
        e.initCause(cause);
        return e;
    }

    MalformedFileException wrong(long offset, String found, String expected) {
        return new MalformedFileException(path, offset, found, expected, COPY);
    }
}
