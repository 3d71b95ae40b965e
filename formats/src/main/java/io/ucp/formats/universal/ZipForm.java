package io.ucp.formats.universal;

import io.ucp.io.MalformedFileException;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// The one form that zip archives have here: entries stored, in order, without gaps, always with
/// zip64 fields, dated 1980-01-01. An archive is a function of its entries, so reading it is making
/// it again and comparing. Source: PKWARE APPNOTE 6.3, 4.3 and 4.5.3.
final class ZipForm {
    /// Where in a local header, and in a header of the directory, the CRC-32 is.
    static final int LOCAL_CRC = 14;

    static final int CENTRAL_CRC = 16;

    private static final int LOCAL = 0x04034b50;
    private static final int CENTRAL = 0x02014b50;
    private static final int END_64 = 0x06064b50;
    private static final int LOCATOR = 0x07064b50;
    private static final int END = 0x06054b50;
    private static final int LOCAL_SIZE = 30;
    private static final int LOCAL_EXTRA = 20;
    private static final short VERSION = 45;
    private static final short DATE = 0x21;
    private static final int LONGEST_NAME = 256;

    private ZipForm() {}

    /// @param name ASCII
    /// @param header offset of its local header
    record Entry(String name, long header, long size, int crc) {
        long data() {
            return header + localHeader(name, size, crc).length;
        }

        long end() {
            return data() + size;
        }
    }

    static byte[] localHeader(String name, long size, int crc) {
        byte[] ascii = name.getBytes(StandardCharsets.US_ASCII);
        ByteBuffer out = buffer(LOCAL_SIZE + ascii.length + LOCAL_EXTRA);
        out.putInt(LOCAL).putShort(VERSION).putShort((short) 0).putShort((short) 0);
        out.putShort((short) 0).putShort(DATE).putInt(crc).putInt(-1).putInt(-1);
        out.putShort((short) ascii.length).putShort((short) LOCAL_EXTRA).put(ascii);
        out.putShort((short) 1).putShort((short) 16).putLong(size).putLong(size);
        return bytes(out.flip());
    }

    static byte[] centralHeader(Entry entry) {
        byte[] ascii = entry.name().getBytes(StandardCharsets.US_ASCII);
        ByteBuffer out = buffer(46 + ascii.length + 28);
        out.putInt(CENTRAL).putShort(VERSION).putShort(VERSION);
        out.putShort((short) 0).putShort((short) 0).putShort((short) 0).putShort(DATE);
        out.putInt(entry.crc()).putInt(-1).putInt(-1);
        out.putShort((short) ascii.length).putShort((short) 28).putShort((short) 0);
        out.putShort((short) 0).putShort((short) 0).putInt(0).putInt(-1).put(ascii);
        out.putShort((short) 1).putShort((short) 24);
        out.putLong(entry.size()).putLong(entry.size()).putLong(entry.header());
        return bytes(out.flip());
    }

    /// The directory and what follows it, to the end of the archive.
    static byte[] tail(List<Entry> entries) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        entries.forEach(entry -> out.writeBytes(centralHeader(entry)));
        long directory = entries.isEmpty() ? 0 : entries.getLast().end();
        long size = out.size();
        ByteBuffer end = buffer(56 + 20 + 22);
        end.putInt(END_64).putLong(44).putShort(VERSION).putShort(VERSION).putInt(0).putInt(0);
        end.putLong(entries.size()).putLong(entries.size()).putLong(size).putLong(directory);
        end.putInt(LOCATOR).putInt(0).putLong(directory + size).putInt(1);
        end.putInt(END).putShort((short) 0).putShort((short) 0);
        end.putShort((short) -1).putShort((short) -1).putInt(-1).putInt(-1).putShort((short) 0);
        out.writeBytes(bytes(end.flip()));
        return out.toByteArray();
    }

    /// The entries of an archive; everything but their data has been checked.
    ///
    /// @throws MalformedFileException where it is not in this form
    static List<Entry> read(FileChannel channel, Path path) throws IOException {
        long size = channel.size();
        List<Entry> entries = new ArrayList<>();
        long at = 0;
        while (true) {
            if (at > size - LOCAL_SIZE) {
                throw wrong(path, at, "the archive ends here", "an entry or the directory");
            }
            ByteBuffer head = buffer(LOCAL_SIZE);
            Channels.read(channel, path, at, head);
            if (head.getInt(0) == CENTRAL) {
                break;
            }
            int nameSize = Short.toUnsignedInt(head.getShort(26));
            int whole = LOCAL_SIZE + nameSize + LOCAL_EXTRA;
            if (head.getInt(0) != LOCAL || nameSize > LONGEST_NAME || at > size - whole) {
                throw wrong(path, at, "no local header", "one, or the directory");
            }
            byte[] found = Channels.read(channel, path, at, whole);
            ByteBuffer header = ByteBuffer.wrap(found).order(ByteOrder.LITTLE_ENDIAN);
            String name = new String(found, LOCAL_SIZE, nameSize, StandardCharsets.US_ASCII);
            long bytes = header.getLong(LOCAL_SIZE + nameSize + 4);
            Entry entry = new Entry(name, at, bytes, header.getInt(LOCAL_CRC));
            same(path, at, localHeader(name, bytes, entry.crc()), found);
            if (bytes < 0 || bytes > size - at - whole) {
                throw wrong(path, at, "%d bytes of \"%s\"".formatted(bytes, name), "fewer");
            }
            entries.add(entry);
            at = entry.end();
        }
        byte[] tail = tail(entries);
        if (size - at != tail.length) {
            throw wrong(
                    path,
                    at,
                    "%d bytes after the last entry".formatted(size - at),
                    "a directory of %d".formatted(tail.length));
        }
        same(path, at, tail, Channels.read(channel, path, at, tail.length));
        return entries;
    }

    private static void same(Path path, long offset, byte[] expected, byte[] found)
            throws MalformedFileException {
        int differs = Arrays.mismatch(expected, found);
        if (differs >= 0) {
            throw wrong(
                    path,
                    offset + differs,
                    "byte 0x%02x in the archive's headers".formatted(found[differs]),
                    "0x%02x".formatted(expected[differs]));
        }
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    private static ByteBuffer buffer(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static MalformedFileException wrong(
            Path path, long offset, String found, String expected) {
        return new MalformedFileException(
                path, offset, found, expected, "copy the checkpoint again");
    }
}
