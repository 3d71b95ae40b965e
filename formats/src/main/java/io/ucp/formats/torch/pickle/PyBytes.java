package io.ucp.formats.torch.pickle;

import java.util.Arrays;

/// A Python `bytes` or `bytearray`, as protocols 3 to 5 write them. Equal by value.
public final class PyBytes implements PickleValue {
    private final byte[] bytes;
    private final boolean mutable;

    private PyBytes(byte[] bytes, boolean mutable) {
        this.bytes = bytes;
        this.mutable = mutable;
    }

    /// A `bytes`.
    public static PyBytes of(byte[] bytes) {
        return new PyBytes(bytes.clone(), false);
    }

    /// A `bytearray`.
    public static PyBytes array(byte[] bytes) {
        return new PyBytes(bytes.clone(), true);
    }

    public boolean isByteArray() {
        return mutable;
    }

    public int size() {
        return bytes.length;
    }

    public byte[] toArray() {
        return bytes.clone();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof PyBytes b && mutable == b.mutable && Arrays.equals(bytes, b.bytes);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(bytes);
    }

    @Override
    public String toString() {
        return "%s(%d)".formatted(mutable ? "bytearray" : "bytes", bytes.length);
    }
}
