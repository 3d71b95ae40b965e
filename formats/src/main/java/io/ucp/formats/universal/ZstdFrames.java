package io.ucp.formats.universal;

import com.github.luben.zstd.Zstd;
import com.github.luben.zstd.ZstdCompressCtx;
import com.github.luben.zstd.ZstdException;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Zstd frames end to end, which zstd decompresses as one. Each has the size of its content and
/// zstd's own checksum of it.
final class ZstdFrames {
    /// Raw bytes of a frame, all but the last: few enough that they stay in a core's cache while
    /// zstd sums and then compresses them. They are a block of 128 KiB and a shorter one, which
    /// levels 3 and up of zstd 1.5.7 leave whole: where a frame has more, they cut its blocks where
    /// a few bytes seem to change (`zstd_preSplit.c`), which those of floats do all the time; a
    /// block becomes eight with a table each, larger and slower.
    static final int CONTENT = 254 << 10;

    private static final int MAGIC = 0xFD2FB528;

    /// The frame header descriptor, after the magic number: zstd ignores this bit of it, we do not,
    /// so that no flipped bit goes unnoticed.
    private static final int DESCRIPTOR = 4;

    private static final int UNUSED = 0x10;

    private ZstdFrames() {}

    /// That bytes are no frames of what they should hold.
    static final class DamagedException extends Exception {
        private static final long serialVersionUID = 1;

        /// Index in the buffer at which it was seen.
        final int at;

        /// Such as "no zstd frame".
        final String found;

        DamagedException(int at, String found) {
            super(found);
            this.at = at;
            this.found = found;
        }
    }

    /// Bytes that [#compress] takes at most.
    static int bound(int rawSize) {
        int frames = Math.ceilDiv(rawSize, CONTENT);
        return Math.toIntExact(frames * Zstd.compressBound(CONTENT));
    }

    /// Compresses all of `raw`; both buffers are direct, and their positions move on.
    static void compress(ZstdCompressCtx context, ByteBuffer raw, ByteBuffer into) {
        int end = raw.limit();
        while (raw.position() < end) {
            raw.limit(Math.min(end, raw.position() + CONTENT));
            context.compress(into, raw);
        }
    }

    /// Fills what remains of `raw` from frames at the start of what remains of `frames`; both are
    /// direct, and their positions move on.
    ///
    /// @throws DamagedException where there are none, or of another size, or damaged ones
    static void decompress(ByteBuffer frames, ByteBuffer raw) throws DamagedException {
        int from = frames.position();
        int size = size(frames, raw.remaining());
        int end = frames.limit();
        try {
            int n = Zstd.decompress(raw, frames.limit(from + size));
            if (raw.hasRemaining()) {
                throw new DamagedException(from, "%d bytes when decompressed".formatted(n));
            }
        } catch (ZstdException e) {
            throw new DamagedException(
                    from, "a zstd frame that is damaged (%s)".formatted(e.getMessage()));
        }
        frames.limit(end);
    }

    /// Bytes of the frames at the start of what remains, whose contents are `rawSize` together.
    private static int size(ByteBuffer frames, int rawSize) throws DamagedException {
        int at = frames.position();
        int left = rawSize;
        while (left > 0) {
            ByteBuffer rest = frames.slice(at, frames.limit() - at).order(ByteOrder.LITTLE_ENDIAN);
            if (rest.remaining() <= DESCRIPTOR || rest.getInt(0) != MAGIC) {
                throw new DamagedException(at, "no zstd frame");
            }
            if ((rest.get(DESCRIPTOR) & UNUSED) != 0) {
                throw new DamagedException(at + DESCRIPTOR, "a zstd frame with its unused bit set");
            }
            long content = Zstd.getFrameContentSize(rest);
            if (content <= 0 || content > left) {
                throw new DamagedException(
                        at, "a zstd frame of %s bytes".formatted(content < 0 ? "?" : content));
            }
            long stored = Zstd.findFrameCompressedSize(rest);
            if (Zstd.isError(stored) || stored > rest.remaining()) {
                throw new DamagedException(
                        at,
                        "a zstd frame that is damaged (%s)".formatted(Zstd.getErrorName(stored)));
            }
            left -= (int) content;
            at += (int) stored;
        }
        return at - frames.position();
    }
}
