package io.ucp.tensor;

import java.nio.ByteBuffer;
import java.util.zip.CRC32;
import java.util.zip.CRC32C;
import java.util.zip.Checksum;

/// A 32-bit cyclic redundancy check whose value for a whole can be put together from the values of
/// its runs, in any order: `crc(A B) = crc(A) * x^(8 |B|) + crc(B)` over GF(2) modulo the
/// polynomial, so the whole is the sum (XOR) of every run's value moved past the bytes behind it.
///
/// Polynomials are held bit-reversed as in both standards: the top bit is `x^0`. Sources: ISO 3309
/// (zip), RFC 3720 appendix B.4 (Castagnoli).
public enum Crc {
    /// CRC-32 of zip and gzip.
    ZIP(0xedb88320) {
        @Override
        Checksum checksum() {
            return new CRC32();
        }
    },
    /// CRC-32C.
    CASTAGNOLI(0x82f63b78) {
        @Override
        Checksum checksum() {
            return new CRC32C();
        }
    };

    private final int polynomial;

    /// `x^(8 * 2^k)` modulo the polynomial.
    @SuppressWarnings("ImmutableEnumChecker") // never written after construction
    private final int[] bytePowers = new int[Long.SIZE];

    Crc(int polynomial) {
        this.polynomial = polynomial;
        int power = 0x00800000; // x^8
        for (int k = 0; k < bytePowers.length; k++) {
            bytePowers[k] = power;
            power = times(power, power);
        }
    }

    abstract Checksum checksum();

    /// Of the bytes from position to limit; moves the position to the limit.
    public int of(ByteBuffer run) {
        Checksum checksum = checksum();
        checksum.update(run);
        return (int) checksum.getValue();
    }

    /// What a run of value `crc` adds to the value of a whole in which `bytes` bytes follow it.
    public int before(int crc, long bytes) {
        return crc == 0 ? 0 : times(crc, past(bytes));
    }

    /// `x^(8 * bytes)`: what moves a value past that many bytes, for runs that lie evenly.
    public int past(long bytes) {
        int power = 0x80000000; // 1
        for (long rest = bytes; rest != 0; rest &= rest - 1) {
            power = times(bytePowers[Long.numberOfTrailingZeros(rest)], power);
        }
        return power;
    }

    /// The product of two values.
    public int times(int a, int b) {
        int product = 0;
        int shifted = b;
        for (int bits = a; bits != 0; bits <<= 1) {
            product ^= shifted & (bits >> 31);
            shifted = (shifted >>> 1) ^ (polynomial & -(shifted & 1));
        }
        return product;
    }
}
