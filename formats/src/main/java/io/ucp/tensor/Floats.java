package io.ucp.tensor;

import java.nio.ByteBuffer;

/// Numbers in the four float types that casts are allowed between. Widening is exact; narrowing
/// rounds once, to the nearest, ties to even; infinities stay, NaN stays NaN. Buffers are
/// little-endian; indices are in bytes.
public final class Floats {
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

    public static void put(DType dtype, ByteBuffer into, int index, double value) {
        switch (dtype) {
            case FLOAT64 -> into.putDouble(index, value);
            case FLOAT32 -> into.putFloat(index, (float) value);
            case FLOAT16 -> into.putShort(index, Float.floatToFloat16(sticky(value)));
            case BFLOAT16 -> into.putShort(index, bfloat16(sticky(value)));
            default -> throw new IllegalArgumentException(dtype + " is not cast");
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

    private static short bfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16);
    }
}
