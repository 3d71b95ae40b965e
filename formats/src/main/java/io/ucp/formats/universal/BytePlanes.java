package io.ucp.formats.universal;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;

/// Sorts the bytes of elements by their place in the element, and back. Plane `p` holds byte `p` of
/// every element, in their order; the planes lie end to end. Of floats' planes one is their signs
/// and exponents, which can be compressed, and most are noise, which need not be tried. (HDF5,
/// Blosc and Parquet know this as byte shuffle and byte stream split.)
///
/// The arrays are there for speed: the quick compiler makes six times as fast code for them as for
/// direct buffers. Owned by one thread at a time.
final class BytePlanes {
    /// Bytes sorted at a time: they and their planes stay in a core's cache.
    private static final int BLOCK = 256 << 10;

    /// Every other lane of 8, 16 and 32 bits.
    private static final long BYTES = 0x00FF_00FF_00FF_00FFL;

    private static final long PAIRS = 0x0000_FFFF_0000_FFFFL;
    private static final long HALVES = 0x0000_0000_FFFF_FFFFL;

    private long[] elements = {};
    private long[] planes = {};

    /// Whether elements of `width` bytes are sorted: those of weights and moments are.
    static boolean sorts(int width) {
        return width == 2 || width == 4;
    }

    /// Fills `into` with the planes of all of `from`; no position moves.
    ///
    /// @param from whole elements, as many bytes as `into` has
    /// @param width bytes of an element: see [#sorts]
    void split(ByteBuffer from, ByteBuffer into, int width) {
        int plane = from.remaining() / width;
        int sorted = sorted(from.remaining(), width);
        for (int at = 0; at < sorted; at += BLOCK) {
            int longs = room(Math.min(BLOCK, sorted - at));
            int each = longs / width;
            longs(from, at, longs).get(elements, 0, longs);
            if (width == 2) {
                split2(elements, planes, each);
            } else {
                split4(elements, planes, each);
            }
            for (int p = 0; p < width; p++) {
                longs(into, p * plane + at / width, each).put(planes, p * each, each);
            }
        }
        for (int k = sorted / width; k < plane; k++) {
            for (int p = 0; p < width; p++) {
                byte one = from.get(from.position() + k * width + p);
                into.put(into.position() + p * plane + k, one);
            }
        }
    }

    /// Fills `into` with the elements whose planes are all of `from`; no position moves.
    void join(ByteBuffer from, ByteBuffer into, int width) {
        int plane = from.remaining() / width;
        int sorted = sorted(from.remaining(), width);
        for (int at = 0; at < sorted; at += BLOCK) {
            int longs = room(Math.min(BLOCK, sorted - at));
            int each = longs / width;
            for (int p = 0; p < width; p++) {
                longs(from, p * plane + at / width, each).get(planes, p * each, each);
            }
            if (width == 2) {
                join2(planes, elements, each);
            } else {
                join4(planes, elements, each);
            }
            longs(into, at, longs).put(elements, 0, longs);
        }
        for (int k = sorted / width; k < plane; k++) {
            for (int p = 0; p < width; p++) {
                byte one = from.get(from.position() + p * plane + k);
                into.put(into.position() + k * width + p, one);
            }
        }
    }

    /// Makes room for so many bytes and gives the longs that they are.
    private int room(int bytes) {
        int longs = bytes / Long.BYTES;
        if (elements.length < longs) {
            elements = new long[longs];
            planes = new long[longs];
        }
        return longs;
    }

    /// The bytes that are sorted eight elements at a time.
    private static int sorted(int bytes, int width) {
        int eight = 8 * width;
        return bytes / eight * eight;
    }

    private static LongBuffer longs(ByteBuffer buffer, int at, int longs) {
        return buffer.slice(buffer.position() + at, longs * Long.BYTES)
                .order(ByteOrder.LITTLE_ENDIAN)
                .asLongBuffer();
    }

    private static void split2(long[] in, long[] out, int each) {
        for (int k = 0; k < each; k++) {
            long a = in[2 * k];
            long b = in[2 * k + 1];
            long c = even(a, b, 32, HALVES);
            long d = odd(a, b, 32, HALVES);
            long e = even(c, d, 16, PAIRS);
            long f = odd(c, d, 16, PAIRS);
            out[k] = even(e, f, 8, BYTES);
            out[each + k] = odd(e, f, 8, BYTES);
        }
    }

    private static void join2(long[] in, long[] out, int each) {
        for (int k = 0; k < each; k++) {
            long e = even(in[k], in[each + k], 8, BYTES);
            long f = odd(in[k], in[each + k], 8, BYTES);
            long c = even(e, f, 16, PAIRS);
            long d = odd(e, f, 16, PAIRS);
            out[2 * k] = even(c, d, 32, HALVES);
            out[2 * k + 1] = odd(c, d, 32, HALVES);
        }
    }

    private static void split4(long[] in, long[] out, int each) {
        for (int k = 0; k < each; k++) {
            long w = in[4 * k];
            long x = in[4 * k + 1];
            long y = in[4 * k + 2];
            long z = in[4 * k + 3];
            long a = even(w, y, 32, HALVES);
            long b = odd(w, y, 32, HALVES);
            long c = even(x, z, 32, HALVES);
            long d = odd(x, z, 32, HALVES);
            long e = even(a, b, 8, BYTES);
            long f = even(c, d, 8, BYTES);
            out[k] = even(e, f, 16, PAIRS);
            out[2 * each + k] = odd(e, f, 16, PAIRS);
            long g = odd(a, b, 8, BYTES);
            long h = odd(c, d, 8, BYTES);
            out[each + k] = even(g, h, 16, PAIRS);
            out[3 * each + k] = odd(g, h, 16, PAIRS);
        }
    }

    private static void join4(long[] in, long[] out, int each) {
        for (int k = 0; k < each; k++) {
            long ab = even(in[k], in[2 * each + k], 16, PAIRS);
            long cd = odd(in[k], in[2 * each + k], 16, PAIRS);
            long ba = even(in[each + k], in[3 * each + k], 16, PAIRS);
            long dc = odd(in[each + k], in[3 * each + k], 16, PAIRS);
            long a = even(ab, ba, 8, BYTES);
            long b = odd(ab, ba, 8, BYTES);
            long c = even(cd, dc, 8, BYTES);
            long d = odd(cd, dc, 8, BYTES);
            out[4 * k] = even(a, b, 32, HALVES);
            out[4 * k + 2] = odd(a, b, 32, HALVES);
            out[4 * k + 1] = even(c, d, 32, HALVES);
            out[4 * k + 3] = odd(c, d, 32, HALVES);
        }
    }

    /// The lanes 0, 2, .. of `a` and `b`, in turn; with [#odd], its own inverse.
    ///
    /// @param bits of a lane: 8, 16 or 32, of which `lanes` masks every other one
    private static long even(long a, long b, int bits, long lanes) {
        return (a & lanes) | ((b & lanes) << bits);
    }

    /// The lanes 1, 3, .. of `a` and `b`, in turn.
    private static long odd(long a, long b, int bits, long lanes) {
        return ((a >>> bits) & lanes) | (b & ~lanes);
    }
}
