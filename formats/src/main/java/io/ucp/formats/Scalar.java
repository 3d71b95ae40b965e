package io.ucp.formats;

import io.ucp.tensor.DType;

import java.util.Arrays;
import java.util.HexFormat;

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
