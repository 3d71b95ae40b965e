package io.ucp.parity;

import io.ucp.tensor.Crc;

import java.nio.ByteBuffer;
import java.util.Base64;
import java.util.HexFormat;

/// A digest of every block of a file: CRC-32C in the upper, CRC-32 in the lower half. They find
/// accidents, not forgeries.
record BlockDigests(long[] values) {
    static long of(ByteBuffer block) {
        int castagnoli = Crc.CASTAGNOLI.of(block.duplicate());
        int zip = Crc.ZIP.of(block.duplicate());
        return (long) castagnoli << Integer.SIZE | Integer.toUnsignedLong(zip);
    }

    int count() {
        return values.length;
    }

    /// Of the file, put together from those of its blocks.
    ///
    /// @param sizes bytes of each block
    String ofFile(Sizes sizes) {
        int castagnoli = 0;
        int zip = 0;
        for (int k = 0; k < values.length; k++) {
            castagnoli =
                    Crc.CASTAGNOLI.before(castagnoli, sizes.of(k))
                            ^ (int) (values[k] >>> Integer.SIZE);
            zip = Crc.ZIP.before(zip, sizes.of(k)) ^ (int) values[k];
        }
        HexFormat hex = HexFormat.of();
        return hex.toHexDigits(castagnoli) + hex.toHexDigits(zip);
    }

    /// Bytes of block `k`.
    @FunctionalInterface
    interface Sizes {
        int of(int k);
    }

    String text() {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * Long.BYTES);
        bytes.asLongBuffer().put(values);
        return Base64.getEncoder().encodeToString(bytes.array());
    }

    /// @throws IllegalArgumentException where `text` is none
    static BlockDigests parse(String text) {
        byte[] bytes = Base64.getDecoder().decode(text);
        if (bytes.length % Long.BYTES != 0) {
            throw new IllegalArgumentException(bytes.length + " bytes");
        }
        long[] values = new long[bytes.length / Long.BYTES];
        ByteBuffer.wrap(bytes).asLongBuffer().get(values);
        return new BlockDigests(values);
    }
}
