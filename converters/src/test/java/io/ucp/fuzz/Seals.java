package io.ucp.fuzz;

import io.ucp.tensor.Crc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;

/// Checksums made good again, as a liar would: else nothing behind their check is tried.
final class Seals {
    private static final String SEAL = ",\n  \"digest\" : \"";
    private static final String CHECKSUM = "\"checksum\":\"crc32c:";

    /// Where messages of an Arrow file may begin.
    private static final int ALIGNMENT = 64;

    private Seals() {}

    /// The manifest of parity.
    static byte[] parity(byte[] manifest) {
        String text = new String(manifest, StandardCharsets.ISO_8859_1);
        int at = text.lastIndexOf(SEAL);
        if (at < 0) {
            return manifest;
        }
        ByteBuffer body = ByteBuffer.wrap(manifest, 0, at);
        HexFormat hex = HexFormat.of();
        String digest =
                hex.toHexDigits(Crc.CASTAGNOLI.of(body.duplicate()))
                        + hex.toHexDigits(Crc.ZIP.of(body.duplicate()));
        return (text.substring(0, at) + SEAL + digest + "\"\n}\n")
                .getBytes(StandardCharsets.ISO_8859_1);
    }

    /// The same for the universal manifest.
    static byte[] manifest(byte[] manifest) {
        String text = new String(manifest, StandardCharsets.ISO_8859_1);
        int at = text.lastIndexOf(CHECKSUM);
        return at < 0
                ? manifest
                : (text.substring(0, at) + CHECKSUM + "%08x\"}\n".formatted(crc(manifest, 0, at)))
                        .getBytes(StandardCharsets.ISO_8859_1);
    }

    /// The same for every message of an Arrow file, and its footer.
    static byte[] arrow(byte[] file) {
        byte[] out = file.clone();
        ByteBuffer bytes = ByteBuffer.wrap(out).order(ByteOrder.LITTLE_ENDIAN);
        int tail = out.length - 10;
        if (tail < 16) {
            return out;
        }
        seal(bytes, 8, 8L + 8 + bytes.getInt(12), tail);
        for (int at = ALIGNMENT; at + 8 <= tail; at += ALIGNMENT) {
            if (bytes.getInt(at) == -1) {
                seal(bytes, at, 8L + at + bytes.getInt(at + 4), tail);
            }
        }
        seal(bytes, (long) tail - bytes.getInt(tail), tail, tail);
        return out;
    }

    /// Puts the checksum of `[from, to)` into its last four bytes, where it lies within the first
    /// `size`.
    private static void seal(ByteBuffer bytes, long from, long to, int size) {
        if (from >= 8 && to - from >= 4 && to <= size) {
            int end = (int) to - 4;
            bytes.putInt(end, Crc.CASTAGNOLI.of(bytes.slice((int) from, end - (int) from)));
        }
    }

    private static int crc(byte[] bytes, int from, int size) {
        return Crc.CASTAGNOLI.of(ByteBuffer.wrap(bytes, from, size));
    }
}
