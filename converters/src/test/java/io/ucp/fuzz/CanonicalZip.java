package io.ucp.fuzz;

import io.ucp.tensor.Crc;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/// Archives in the one form that universal checkpoints have, so that other entries can be put into
/// one: any other is refused before its entries are read.
final class CanonicalZip {
    private static final short VERSION = 45;
    private static final short FIRST_OF_JANUARY_1980 = 0x21;

    private CanonicalZip() {}

    /// All entries, in the order in which they lie there.
    static SequencedMap<String, byte[]> read(Path file) throws IOException {
        SequencedMap<String, byte[]> entries = new LinkedHashMap<>();
        try (ZipFile zip = new ZipFile(file.toFile())) {
            List<? extends ZipEntry> all = zip.stream().toList();
            for (ZipEntry entry : all) {
                entries.put(entry.getName(), zip.getInputStream(entry).readAllBytes());
            }
        }
        return entries;
    }

    static byte[] write(SequencedMap<String, byte[]> entries) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream directory = new ByteArrayOutputStream();
        for (Map.Entry<String, byte[]> entry : entries.entrySet()) {
            byte[] name = entry.getKey().getBytes(StandardCharsets.US_ASCII);
            long size = entry.getValue().length;
            int crc = Crc.ZIP.of(ByteBuffer.wrap(entry.getValue()));
            long at = out.size();
            ByteBuffer wide = buffer(28).putShort((short) 1).putShort((short) 24);
            wide.putLong(size).putLong(size).putLong(at);
            put(directory, buffer(8).putInt(0x02014b50).putShort(VERSION).putShort(VERSION));
            put(directory, common(name, crc, 28));
            put(directory, buffer(14).putInt(10, -1));
            directory.writeBytes(name);
            put(directory, wide);
            put(out, buffer(6).putInt(0x04034b50).putShort(VERSION));
            put(out, common(name, crc, 20));
            out.writeBytes(name);
            put(
                    out,
                    buffer(20)
                            .putShort((short) 1)
                            .putShort((short) 16)
                            .putLong(size)
                            .putLong(size));
            out.writeBytes(entry.getValue());
        }
        long start = out.size();
        long size = directory.size();
        long count = entries.size();
        out.writeBytes(directory.toByteArray());
        ByteBuffer end = buffer(56 + 20 + 22).putInt(0x06064b50).putLong(44);
        end.putShort(VERSION).putShort(VERSION).putLong(0);
        end.putLong(count).putLong(count).putLong(size).putLong(start);
        end.putInt(0x07064b50).putInt(0).putLong(start + size).putInt(1);
        end.putInt(0x06054b50).putInt(0).putInt(-1).putInt(-1).putInt(-1).putShort((short) 0);
        put(out, end);
        return out.toByteArray();
    }

    /// What both headers have, from the flags to the size of the extra field.
    private static ByteBuffer common(byte[] name, int crc, int extra) {
        return buffer(24)
                .putInt(0)
                .putShort((short) 0)
                .putShort(FIRST_OF_JANUARY_1980)
                .putInt(crc)
                .putLong(-1)
                .putShort((short) name.length)
                .putShort((short) extra);
    }

    private static ByteBuffer buffer(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static void put(ByteArrayOutputStream out, ByteBuffer written) {
        byte[] bytes = new byte[written.capacity()];
        written.rewind().get(bytes);
        out.writeBytes(bytes);
    }
}
