package io.ucp.formats.universal;

import com.google.flatbuffers.FlatBufferBuilder;

import io.ucp.tensor.DType;

import org.apache.arrow.flatbuf.Field;
import org.apache.arrow.flatbuf.FixedSizeBinary;
import org.apache.arrow.flatbuf.FloatingPoint;
import org.apache.arrow.flatbuf.Int;
import org.apache.arrow.flatbuf.Precision;
import org.apache.arrow.flatbuf.Struct_;
import org.apache.arrow.flatbuf.Type;

/// The Arrow type of the column that holds elements of a dtype: the same width always, the same
/// meaning where Arrow has it. (Arrow's own Bool packs bits: torch's is a byte.)
///
/// @param type a constant of [Type]
/// @param width bits for [Type#Int], [Precision] for [Type#FloatingPoint], bytes for
///   [Type#FixedSizeBinary]
record ColumnType(byte type, int width, boolean signed) {
    static final ColumnType BYTE = new ColumnType(Type.Int, 8, false);

    /// Of the bytes of an element.
    static final ColumnType STRUCT = new ColumnType(Type.Struct_, 0, false);

    static ColumnType of(DType dtype) {
        return switch (dtype) {
            case FLOAT64 -> new ColumnType(Type.FloatingPoint, Precision.DOUBLE, true);
            case FLOAT32 -> new ColumnType(Type.FloatingPoint, Precision.SINGLE, true);
            case FLOAT16 -> new ColumnType(Type.FloatingPoint, Precision.HALF, true);
            case INT64, INT32, INT16, INT8, QINT32, QINT8 ->
                    new ColumnType(Type.Int, dtype.width() * 8, true);
            case UINT64, UINT32, UINT16, UINT8, BFLOAT16, BOOL, QUINT8, QUINT4X2, QUINT2X4 ->
                    new ColumnType(Type.Int, dtype.width() * 8, false);
            case FLOAT8_E4M3FN,
                    FLOAT8_E4M3FNUZ,
                    FLOAT8_E5M2,
                    FLOAT8_E5M2FNUZ,
                    FLOAT8_E8M0FNU,
                    FLOAT4_E2M1FN_X2 ->
                    new ColumnType(Type.Int, 8, false);
            case COMPLEX32, COMPLEX64, COMPLEX128 ->
                    new ColumnType(Type.FixedSizeBinary, dtype.width(), false);
        };
    }

    /// Adds the type's table.
    int write(FlatBufferBuilder builder) {
        return switch (type) {
            case Type.FloatingPoint -> FloatingPoint.createFloatingPoint(builder, (short) width);
            case Type.Int -> Int.createInt(builder, width, signed);
            case Type.Struct_ -> {
                Struct_.startStruct_(builder);
                yield Struct_.endStruct_(builder);
            }
            default -> FixedSizeBinary.createFixedSizeBinary(builder, width);
        };
    }

    /// The type of a field in a file; an unknown one equals no dtype's.
    static ColumnType read(Field field) {
        return switch (field.typeType()) {
            case Type.FloatingPoint -> {
                FloatingPoint t = (FloatingPoint) field.type(new FloatingPoint());
                yield new ColumnType(Type.FloatingPoint, t.precision(), true);
            }
            case Type.Int -> {
                Int t = (Int) field.type(new Int());
                yield new ColumnType(Type.Int, t.bitWidth(), t.isSigned());
            }
            case Type.FixedSizeBinary -> {
                FixedSizeBinary t = (FixedSizeBinary) field.type(new FixedSizeBinary());
                yield new ColumnType(Type.FixedSizeBinary, t.byteWidth(), false);
            }
            default -> new ColumnType(field.typeType(), 0, false);
        };
    }
}
