package io.ucp.formats.torch.pickle;

import org.jspecify.annotations.Nullable;

import java.math.BigInteger;
import java.util.Objects;
import java.util.OptionalLong;

/// A Python `int`, of any size; a long inside where it fits.
public final class PyInt implements PickleValue {
    private final long small;
    private final @Nullable BigInteger big;

    private PyInt(long small, @Nullable BigInteger big) {
        this.small = small;
        this.big = big;
    }

    public static PyInt of(long value) {
        return new PyInt(value, null);
    }

    public static PyInt of(BigInteger value) {
        return value.bitLength() < Long.SIZE ? of(value.longValue()) : new PyInt(0, value);
    }

    public BigInteger value() {
        return big == null ? BigInteger.valueOf(small) : big;
    }

    @Override
    public OptionalLong asLong() {
        return big == null ? OptionalLong.of(small) : OptionalLong.empty();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof PyInt i && small == i.small && Objects.equals(big, i.big);
    }

    @Override
    public int hashCode() {
        return big == null ? Long.hashCode(small) : big.hashCode();
    }

    /// Decimal; hexadecimal past 4096 bits, where decimal would cost more than it tells.
    @Override
    public String toString() {
        if (big == null) {
            return Long.toString(small);
        }
        return big.bitLength() <= 4096
                ? big.toString()
                : (big.signum() < 0 ? "-0x" : "0x") + big.abs().toString(16);
    }
}
