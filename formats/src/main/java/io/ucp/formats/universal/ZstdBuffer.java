package io.ucp.formats.universal;

import com.github.luben.zstd.ZstdCompressCtx;

import io.ucp.formats.universal.ZstdFrames.DamagedException;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// A buffer of values as Arrow's buffer compression has it: the number of raw bytes as a
/// little-endian i64, then [ZstdFrames]; or -1, then the raw bytes where frames would be no
/// smaller.
final class ZstdBuffer {
    private static final int RAW_LENGTH = 8;
    private static final long RAW = -1;

    private ZstdBuffer() {}

    /// This buffer or, where it is too small, another one: cleared, with its limit at `size`.
    static ByteBuffer atLeast(ByteBuffer buffer, int size) {
        return (buffer.capacity() < size ? ByteBuffer.allocateDirect(size) : buffer.clear())
                .limit(size);
    }

    /// Bytes that [#write] takes at most.
    static int bound(int rawSize) {
        return Math.addExact(RAW_LENGTH, ZstdFrames.bound(rawSize));
    }

    /// Writes all of `raw`, which is not empty; both buffers are direct, and their positions move
    /// on.
    static void write(ZstdCompressCtx context, ByteBuffer raw, ByteBuffer into) {
        int from = raw.position();
        int size = raw.remaining();
        int at = into.position();
        into.order(ByteOrder.LITTLE_ENDIAN).putLong(size);
        ZstdFrames.compress(context, raw, into);
        if (into.position() - at - RAW_LENGTH >= size) {
            into.position(at).putLong(RAW).put(raw.position(from));
        }
    }

    /// Fills what remains of `raw` from a buffer at the position of `stored`; both are direct, and
    /// their positions move on.
    ///
    /// @throws DamagedException where there is none, or one of another size, or a damaged one
    static void read(ByteBuffer stored, ByteBuffer raw) throws DamagedException {
        int from = stored.position();
        int size = raw.remaining();
        if (stored.remaining() < RAW_LENGTH) {
            throw new DamagedException(from, "%d bytes".formatted(stored.remaining()));
        }
        long declared = stored.order(ByteOrder.LITTLE_ENDIAN).getLong();
        if (declared == RAW) {
            if (stored.remaining() < size) {
                throw new DamagedException(from, "%d raw bytes".formatted(stored.remaining()));
            }
            raw.put(stored.slice(stored.position(), size));
            stored.position(stored.position() + size);
            return;
        }
        if (declared != size) {
            throw new DamagedException(from, "%d bytes when decompressed".formatted(declared));
        }
        ZstdFrames.decompress(stored, raw);
    }
}
