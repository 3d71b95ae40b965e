package io.ucp.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Numbers in the four float types that casts are allowed between. Widening is exact; narrowing
/// rounds once, to the nearest, ties to even; infinities stay, NaN stays NaN. Buffers are
/// little-endian; indices are in bytes.
public final class Floats {
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /// Values that a loop over arrays takes at a time.
    private static final int AT_ONCE = 2048;

    private Floats() {}

    /// Whether values of the type can be cast, averaged and measured.
    public static boolean covers(DType dtype) {
        return switch (dtype) {
            case FLOAT64, FLOAT32, FLOAT16, BFLOAT16 -> true;
            case FLOAT8_E4M3FN,
                    FLOAT8_E4M3FNUZ,
                    FLOAT8_E5M2,
                    FLOAT8_E5M2FNUZ,
                    FLOAT8_E8M0FNU,
                    FLOAT4_E2M1FN_X2,
                    INT64,
                    INT32,
                    INT16,
                    INT8,
                    UINT64,
                    UINT32,
                    UINT16,
                    UINT8,
                    BOOL,
                    COMPLEX32,
                    COMPLEX64,
                    COMPLEX128,
                    QINT8,
                    QUINT8,
                    QINT32,
                    QUINT4X2,
                    QUINT2X4 ->
                    false;
        };
    }

    public static double get(DType dtype, ByteBuffer from, int index) {
        return switch (dtype) {
            case FLOAT64 -> from.getDouble(index);
            case FLOAT32 -> from.getFloat(index);
            case FLOAT16 -> Float.float16ToFloat(from.getShort(index));
            case BFLOAT16 -> Float.intBitsToFloat(from.getShort(index) << 16);
            default -> throw new IllegalArgumentException(dtype + " is not cast");
        };
    }

    /// How many values of the type lie between two, plus one: 0 where both are the same number, -0
    /// and 0 included; `Long.MAX_VALUE` where either is NaN.
    public static long ulps(DType dtype, ByteBuffer a, int indexA, ByteBuffer b, int indexB) {
        if (Double.isNaN(get(dtype, a, indexA)) || Double.isNaN(get(dtype, b, indexB))) {
            return Long.MAX_VALUE;
        }
        long first = place(dtype, a, indexA);
        long second = place(dtype, b, indexB);
        long between = first - second;
        boolean overflows = ((first ^ second) & (first ^ between)) < 0;
        return overflows ? Long.MAX_VALUE : Math.abs(between);
    }

    /// The value's place among all values of the type.
    private static long place(DType dtype, ByteBuffer from, int index) {
        long bits =
                switch (dtype) {
                    case FLOAT64 -> from.getLong(index);
                    case FLOAT32 -> from.getInt(index);
                    default -> from.getShort(index);
                };
        long least =
                switch (dtype) {
                    case FLOAT64 -> Long.MIN_VALUE;
                    case FLOAT32 -> Integer.MIN_VALUE;
                    default -> Short.MIN_VALUE;
                };
        return bits < 0 ? least - bits : bits;
    }

    public static void put(DType dtype, ByteBuffer into, int index, double value) {
        switch (dtype) {
            case FLOAT64 -> into.putDouble(index, value);
            case FLOAT32 -> into.putFloat(index, (float) value);
            case FLOAT16 -> into.putShort(index, Float.floatToFloat16(sticky(value)));
            case BFLOAT16 ->
                    into.putShort(index, (short) bfloat16(Float.floatToRawIntBits(sticky(value))));
            default -> throw new IllegalArgumentException(dtype + " is not cast");
        }
    }

    /// Casts `count` values that lie one after the other, as [#get] and [#put] would one by one.
    /// The casts between a master and a model's own weights have loops of their own over arrays in
    /// the processor's cache: the optimising compiler makes vectors of them, and the quick one,
    /// which small conversions do with, is there ten times as fast as over buffers. Values of bf16
    /// are taken two at a time, since there are vectors between 32 and 64 bits, but none between 16
    /// and 32.
    ///
    /// @param from index in bytes of the first value in `source`
    /// @param to index in bytes of the first in `target`
    public static void cast(
            DType held,
            ByteBuffer source,
            int from,
            DType wanted,
            ByteBuffer target,
            int to,
            int count) {
        MemorySegment in = MemorySegment.ofBuffer(source.duplicate().clear()).asSlice(from);
        MemorySegment out = MemorySegment.ofBuffer(target.duplicate().clear()).asSlice(to);
        if (held == DType.FLOAT32 && wanted == DType.BFLOAT16) {
            int[] pairs = new int[AT_ONCE / 2];
            long[] singles = new long[AT_ONCE / 2];
            for (int at = 0, n; at < count; at += n) {
                n = Math.min(AT_ONCE, count - at);
                MemorySegment.copy(in, LONG, 4L * at, singles, 0, n / 2);
                if (anyNan(singles, n / 2)) {
                    each(held, source, from, wanted, target, to, at, at + n);
                } else {
                    bfloat16s(singles, pairs, n / 2);
                    MemorySegment.copy(pairs, 0, out, INT, 2L * at, n / 2);
                    each(held, source, from, wanted, target, to, at + n / 2 * 2, at + n);
                }
            }
        } else if (held == DType.BFLOAT16 && wanted == DType.FLOAT32) {
            int[] pairs = new int[AT_ONCE / 2];
            long[] singles = new long[AT_ONCE / 2];
            for (int at = 0, n; at < count; at += n) {
                n = Math.min(AT_ONCE, count - at);
                MemorySegment.copy(in, INT, 2L * at, pairs, 0, n / 2);
                for (int k = 0; k < n / 2; k++) {
                    long pair = pairs[k];
                    singles[k] = (pair & 0xffffL) << 16 | (pair & 0xffff0000L) << 32;
                }
                MemorySegment.copy(singles, 0, out, LONG, 4L * at, n / 2);
                each(held, source, from, wanted, target, to, at + n / 2 * 2, at + n);
            }
        } else if (held == DType.FLOAT32 && wanted == DType.FLOAT16) {
            float[] singles = new float[AT_ONCE];
            short[] halves = new short[AT_ONCE];
            for (int at = 0, n; at < count; at += n) {
                n = Math.min(AT_ONCE, count - at);
                MemorySegment.copy(in, FLOAT, 4L * at, singles, 0, n);
                for (int k = 0; k < n; k++) {
                    halves[k] = Float.floatToFloat16(singles[k]);
                }
                MemorySegment.copy(halves, 0, out, SHORT, 2L * at, n);
            }
        } else if (held == DType.FLOAT16 && wanted == DType.FLOAT32) {
            float[] singles = new float[AT_ONCE];
            short[] halves = new short[AT_ONCE];
            for (int at = 0, n; at < count; at += n) {
                n = Math.min(AT_ONCE, count - at);
                MemorySegment.copy(in, SHORT, 2L * at, halves, 0, n);
                for (int k = 0; k < n; k++) {
                    singles[k] = Float.float16ToFloat(halves[k]);
                }
                MemorySegment.copy(singles, 0, out, FLOAT, 4L * at, n);
            }
        } else {
            each(held, source, from, wanted, target, to, 0, count);
        }
    }

    /// Casts values `[low, high)` of those from the two indices on.
    private static void each(
            DType held,
            ByteBuffer source,
            int from,
            DType wanted,
            ByteBuffer target,
            int to,
            int low,
            int high) {
        for (int k = low; k < high; k++) {
            put(
                    wanted,
                    target,
                    to + k * wanted.width(),
                    get(held, source, from + k * held.width()));
        }
    }

    /// Whether any of `2 * count` floats, two to a number, is a NaN.
    private static boolean anyNan(long[] pairs, int count) {
        long below =
                0; // in the sign of each half; borrows from a neighbour only where there is one
        for (int k = 0; k < count; k++) {
            below |= 0x7f800000_7f800000L - (pairs[k] & 0x7fffffff_7fffffffL);
        }
        return (below & 0x80000000_80000000L) != 0;
    }

    /// `2 * count` floats, two to a number and none of them a NaN, as bf16.
    private static void bfloat16s(long[] singles, int[] pairs, int count) {
        for (int k = 0; k < count; k++) {
            long bits = singles[k];
            long rounded = bits + 0x00007fff_00007fffL + (bits >>> 16 & 0x00000001_00000001L);
            pairs[k] = (int) ((rounded >>> 16 & 0xffffL) | (rounded >>> 32 & 0xffff0000L));
        }
    }

    /// Adds the first `count` values of `source` to `sums`.
    public static void add(DType held, ByteBuffer source, double[] sums, int count) {
        if (held == DType.FLOAT32) {
            MemorySegment in = MemorySegment.ofBuffer(source.duplicate().clear());
            float[] singles = new float[AT_ONCE];
            for (int at = 0, n; at < count; at += n) {
                n = Math.min(AT_ONCE, count - at);
                MemorySegment.copy(in, FLOAT, 4L * at, singles, 0, n);
                for (int k = 0; k < n; k++) {
                    sums[at + k] += singles[k];
                }
            }
        } else {
            for (int k = 0; k < count; k++) {
                sums[k] += get(held, source, k * held.width());
            }
        }
    }

    /// Puts the first `count` of `values` from byte `to` of `target` on, as [#put] would one by
    /// one.
    public static void putAll(DType wanted, double[] values, ByteBuffer target, int to, int count) {
        if (wanted == DType.FLOAT32) {
            MemorySegment out = MemorySegment.ofBuffer(target.duplicate().clear()).asSlice(to);
            float[] singles = new float[AT_ONCE];
            for (int at = 0, n; at < count; at += n) {
                n = Math.min(AT_ONCE, count - at);
                for (int k = 0; k < n; k++) {
                    singles[k] = (float) values[at + k];
                }
                MemorySegment.copy(singles, 0, out, FLOAT, 4L * at, n);
            }
        } else {
            for (int k = 0; k < count; k++) {
                put(wanted, target, to + k * wanted.width(), values[k]);
            }
        }
    }

    /// The value as a float whose last bit says whether anything was cut off (round to odd), so
    /// that rounding it again to 16 bits rounds as if once.
    private static float sticky(double value) {
        float near = (float) value;
        if (near == value || Double.isNaN(value)) {
            return near;
        }
        float towardZero =
                Math.abs((double) near) > Math.abs(value)
                        ? Float.intBitsToFloat(Float.floatToRawIntBits(near) - 1)
                        : near;
        return Float.intBitsToFloat(Float.floatToRawIntBits(towardZero) | 1);
    }

    /// A float's bits as those of a bf16, in the lower half.
    private static int bfloat16(int bits) {
        if ((bits & 0x7fffffff) > 0x7f800000) {
            return (bits | 0x00400000) >>> 16; // NaN, whose bits are cut
        }
        return (bits + 0x7fff + (bits >>> 16 & 1)) >>> 16;
    }
}
