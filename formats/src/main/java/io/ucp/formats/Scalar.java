package io.ucp.formats;

import io.ucp.tensor.DType;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.OptionalLong;

/// One number that is a state of a parameter (`step`), by its bytes, so that nothing is rounded.
///
/// @param bytes little-endian, `dtype.width()` of them
public record Scalar(DType dtype, byte[] bytes) {
    public Scalar {
        bytes = bytes.clone();
        if (bytes.length != dtype.width()) {
            throw new IllegalArgumentException(bytes.length + " bytes for a " + dtype);
        }
    }

    @Override
    public byte[] bytes() {
        return bytes.clone();
    }

    /// The whole number that it is, if it is one, in whatever type it is kept.
    public OptionalLong whole() {
        ByteBuffer of = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        return switch (dtype) {
            case INT64 -> OptionalLong.of(of.getLong());
            case INT32 -> OptionalLong.of(of.getInt());
            case FLOAT64 -> whole(of.getDouble());
            case FLOAT32 -> whole(of.getFloat());
            default -> OptionalLong.empty();
        };
    }

    /// Above, a float has not every whole number.
    private static OptionalLong whole(double value) {
        return value == Math.rint(value) && Math.abs(value) <= 1L << 53
                ? OptionalLong.of((long) value)
                : OptionalLong.empty();
    }

    @Override
    public boolean equals(Object o) {
        return o instanceof Scalar s && dtype == s.dtype && Arrays.equals(bytes, s.bytes);
    }

    @Override
    public int hashCode() {
        return dtype.hashCode() * 31 + Arrays.hashCode(bytes);
    }

    @Override
    public String toString() {
        return dtype.torchName() + " 0x" + HexFormat.of().formatHex(bytes);
    }
}
