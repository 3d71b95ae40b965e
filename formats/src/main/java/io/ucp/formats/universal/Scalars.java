package io.ucp.formats.universal;

import io.ucp.formats.Scalar;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;

/// A scalar's value as people write it; the bytes beside it are what counts.
final class Scalars {
    private Scalars() {}

    static String readable(Scalar scalar) {
        ByteBuffer bytes = ByteBuffer.wrap(scalar.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        return switch (scalar.dtype()) {
            case FLOAT64 -> Double.toString(bytes.getDouble());
            case FLOAT32 -> Float.toString(bytes.getFloat());
            case FLOAT16 -> Float.toString(Float.float16ToFloat(bytes.getShort()));
            case BFLOAT16 -> Float.toString(Float.intBitsToFloat(bytes.getShort() << 16));
            case INT64 -> Long.toString(bytes.getLong());
            case INT32, QINT32 -> Integer.toString(bytes.getInt());
            case INT16 -> Short.toString(bytes.getShort());
            case INT8, QINT8 -> Byte.toString(bytes.get());
            case UINT64 -> Long.toUnsignedString(bytes.getLong());
            case UINT32 -> Integer.toUnsignedString(bytes.getInt());
            case UINT16 -> Integer.toString(Short.toUnsignedInt(bytes.getShort()));
            case UINT8, QUINT8 -> Integer.toString(Byte.toUnsignedInt(bytes.get()));
            case BOOL -> bytes.get() == 0 ? "false" : "true";
            case FLOAT8_E4M3FN,
                    FLOAT8_E4M3FNUZ,
                    FLOAT8_E5M2,
                    FLOAT8_E5M2FNUZ,
                    FLOAT8_E8M0FNU,
                    FLOAT4_E2M1FN_X2,
                    COMPLEX32,
                    COMPLEX64,
                    COMPLEX128,
                    QUINT4X2,
                    QUINT2X4 ->
                    "0x" + HexFormat.of().formatHex(scalar.bytes());
        };
    }
}
