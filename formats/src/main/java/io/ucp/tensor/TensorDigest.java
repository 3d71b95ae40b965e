package io.ucp.tensor;

import java.nio.ByteBuffer;
import java.util.HexFormat;

/// The digest of a whole tensor: CRC-32C and CRC-32 of its real elements' bytes in row-major order,
/// whatever the layout they are held in. Runs may be added in any order and by several threads.
///
/// Not cryptographic: it finds accidents (every flipped bit, every burst of up to 32 bits in each
/// half), not forgeries.
public final class TensorDigest {
    /// Its name in manifests.
    public static final String NAME = "crc32c+crc32";

    private final long size;
    private long added;
    private int castagnoli;
    private int zip;

    /// @param size bytes of the whole tensor
    public TensorDigest(long size) {
        this.size = size;
    }

    /// Counts the bytes from position to limit of `run`, which is left as it was, as the bytes from
    /// `offset` of the tensor. Each byte is to be added once.
    public void add(long offset, ByteBuffer run) {
        long length = run.remaining();
        if (offset < 0 || offset + length > size) {
            throw new IllegalArgumentException(
                    "run %d + %d of a tensor of %d bytes".formatted(offset, length, size));
        }
        add(
                offset + length,
                length,
                Crc.CASTAGNOLI.of(run.duplicate()),
                Crc.ZIP.of(run.duplicate()));
    }

    /// Counts runs whose sums were put together.
    ///
    /// @param end byte of the tensor at which the last of them ends
    /// @param length bytes of all
    /// @param c their CRC-32C, of a whole that ends at `end`
    /// @param z their CRC-32, likewise
    public void add(long end, long length, int c, int z) {
        if (end < length || end > size) {
            throw new IllegalArgumentException(
                    "runs of %d bytes up to byte %d of a tensor of %d"
                            .formatted(length, end, size));
        }
        int moved = Crc.CASTAGNOLI.before(c, size - end);
        int zipped = Crc.ZIP.before(z, size - end);
        synchronized (this) {
            castagnoli ^= moved;
            zip ^= zipped;
            added += length;
        }
    }

    /// Whether as many bytes were added as the tensor has.
    public synchronized boolean complete() {
        return added == size;
    }

    /// CRC-32C, then CRC-32, in 16 hexadecimal digits.
    @Override
    public synchronized String toString() {
        HexFormat hex = HexFormat.of();
        return hex.toHexDigits(castagnoli) + hex.toHexDigits(zip);
    }
}
