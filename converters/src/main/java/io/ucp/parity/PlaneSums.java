package io.ucp.parity;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.LongBuffer;
import java.util.Arrays;

/// Sums of blocks times constants, several at a time, in bit planes. Reading a block once feeds all
/// sums, a cell at a time, so that all of it stays in the cache. For one thread.
final class PlaneSums {
    /// Bytes; part of the file format.
    static final int CELL = 1 << 16;

    /// What sizes of stripes are multiples of: eight planes of whole longs.
    static final int GRAIN = 64;

    private static final int PLANES = 8;
    private static final int[][] MASKS = new int[256][PLANES];

    static {
        for (int constant = 0; constant < MASKS.length; constant++) {
            for (int bit = 0; bit < PLANES; bit++) {
                MASKS[constant][bit] = Field.mask(constant, bit);
            }
        }
    }

    /// By sum: plane `p` of cell `c` is number `8 c + p`.
    private final long[][][] sums;

    private final long[][] cell = new long[PLANES][CELL / GRAIN];
    private int size;

    /// @param most bytes of the largest stripe
    PlaneSums(int count, int most) {
        int cells = Math.ceilDiv(most, CELL);
        int longs = Math.min(CELL, rounded(most)) / GRAIN;
        this.sums = new long[count][cells * PLANES][longs];
    }

    static int rounded(int size) {
        return Math.ceilDiv(size, GRAIN) * GRAIN;
    }

    /// Begins anew, with zeros.
    ///
    /// @param stripe bytes, a multiple of [#GRAIN]
    void reset(int stripe) {
        size = stripe;
        for (long[][] sum : sums) {
            for (int k = 0; k < Math.ceilDiv(stripe, CELL) * PLANES; k++) {
                Arrays.fill(sum[k], 0);
            }
        }
    }

    /// Adds a block to every sum.
    ///
    /// @param block as large as the stripe, from position 0
    /// @param factors one for each sum
    void add(ByteBuffer block, int[] factors) {
        LongBuffer longs = longs(block);
        for (int from = 0; from < size; from += CELL) {
            int count = planeLongs(from);
            for (int p = 0; p < PLANES; p++) {
                longs.get(from / Long.BYTES + p * count, cell[p], 0, count);
            }
            int first = from / CELL * PLANES;
            for (int k = 0; k < factors.length; k++) {
                if (factors[k] != 0) {
                    for (int p = 0; p < PLANES; p++) {
                        add(sums[k][first + p], MASKS[factors[k]][p], count);
                    }
                }
            }
        }
    }

    /// Fills `into`, which is as large as the stripe, from position 0.
    void get(int sum, ByteBuffer into) {
        LongBuffer longs = longs(into);
        for (int from = 0; from < size; from += CELL) {
            int count = planeLongs(from);
            for (int p = 0; p < PLANES; p++) {
                longs.put(
                        from / Long.BYTES + p * count,
                        sums[sum][from / CELL * PLANES + p],
                        0,
                        count);
            }
        }
    }

    private int planeLongs(int from) {
        return Math.min(CELL, size - from) / GRAIN;
    }

    private static LongBuffer longs(ByteBuffer bytes) {
        return bytes.duplicate().clear().order(ByteOrder.nativeOrder()).asLongBuffer();
    }

    /// Adds the planes of [#cell] that `mask` names. Each loop is one that the compiler vectorises:
    /// whole arrays, one index.
    private void add(long[] sum, int mask, int count) {
        int rest = mask;
        while (rest != 0) {
            long[] a = cell[Integer.numberOfTrailingZeros(rest)];
            rest &= rest - 1;
            if (rest == 0) {
                xor(sum, a, count);
                return;
            }
            long[] b = cell[Integer.numberOfTrailingZeros(rest)];
            rest &= rest - 1;
            if (Integer.bitCount(rest) < 2) {
                xor(sum, a, b, count);
                continue;
            }
            long[] c = cell[Integer.numberOfTrailingZeros(rest)];
            rest &= rest - 1;
            long[] d = cell[Integer.numberOfTrailingZeros(rest)];
            rest &= rest - 1;
            xor(sum, a, b, c, d, count);
        }
    }

    private static void xor(long[] sum, long[] a, int count) {
        for (int i = 0; i < count; i++) {
            sum[i] ^= a[i];
        }
    }

    private static void xor(long[] sum, long[] a, long[] b, int count) {
        for (int i = 0; i < count; i++) {
            sum[i] ^= a[i] ^ b[i];
        }
    }

    private static void xor(long[] sum, long[] a, long[] b, long[] c, long[] d, int count) {
        for (int i = 0; i < count; i++) {
            sum[i] ^= a[i] ^ b[i] ^ c[i] ^ d[i];
        }
    }
}
