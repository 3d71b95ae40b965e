package io.ucp.formats.torch.pickle;

import io.ucp.io.MalformedFileException;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Optional;

/// The bytes of a pickle with a position that never passes their end. Numbers are little-endian.
final class PickleBytes {
    private final Path file;
    private final long offset;
    private final ByteBuffer bytes;
    private int opcode;

    PickleBytes(Path file, long offset, byte[] pickle) {
        this.file = file;
        this.offset = offset;
        this.bytes = ByteBuffer.wrap(pickle).order(ByteOrder.LITTLE_ENDIAN);
    }

    /// Remembers the position: errors name the opcode at fault, not a byte inside its argument.
    void beginOpcode() {
        opcode = bytes.position();
    }

    int u1() throws MalformedFileException {
        require(1);
        return Byte.toUnsignedInt(bytes.get());
    }

    int u2() throws MalformedFileException {
        require(2);
        return Short.toUnsignedInt(bytes.getShort());
    }

    int s4() throws MalformedFileException {
        require(4);
        return bytes.getInt();
    }

    long u4() throws MalformedFileException {
        return Integer.toUnsignedLong(s4());
    }

    long s8() throws MalformedFileException {
        require(8);
        return bytes.getLong();
    }

    /// The next `length` bytes.
    ByteBuffer take(long length) throws MalformedFileException {
        int checked = length(length);
        ByteBuffer part = bytes.slice(bytes.position(), checked);
        bytes.position(bytes.position() + checked);
        return part;
    }

    /// The next `length` bytes as UTF-8, empty where they are not.
    Optional<String> text(long length) throws MalformedFileException {
        int checked = length(length);
        int start = bytes.position();
        bytes.position(start + checked);
        return SurrogateUtf8.decode(bytes.array(), start, checked);
    }

    /// Checks that so many bytes are left.
    int length(long length) throws MalformedFileException {
        require(length);
        return (int) length;
    }

    /// Up to the next line feed, which is consumed; ISO-8859-1 unless it is UTF-8.
    String line() throws MalformedFileException {
        int start = bytes.position();
        int end = start;
        while (end < bytes.limit() && bytes.get(end) != '\n') {
            end++;
        }
        if (end == bytes.limit()) {
            throw ended("a line feed");
        }
        byte[] line = new byte[end - start];
        bytes.get(line);
        bytes.get();
        return SurrogateUtf8.decode(line, 0, line.length)
                .orElseGet(() -> new String(line, StandardCharsets.ISO_8859_1));
    }

    private void require(long length) throws MalformedFileException {
        if (length < 0 || length > bytes.remaining()) {
            throw ended(
                    length < 0
                            ? "a length that is not negative"
                            : "%d bytes more, %d are left".formatted(length, bytes.remaining()));
        }
    }

    private MalformedFileException ended(String expected) {
        return malformed(
                "the pickle ends inside this opcode",
                expected,
                "copy the file again from where it was written");
    }

    /// An error at the opcode being read.
    MalformedFileException malformed(String found, String expected, String remedy) {
        return malformed(opcode, found, expected, remedy);
    }

    MalformedFileException malformed(int at, String found, String expected, String remedy) {
        return new MalformedFileException(file, offset + at, "pickle: " + found, expected, remedy);
    }
}
