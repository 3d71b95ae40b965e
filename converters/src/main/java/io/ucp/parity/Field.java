package io.ucp.parity;

/// The field GF(2^8) modulo `x^8 + x^4 + x^3 + x^2 + 1`, in which 2 generates every element but 0.
/// Elements are ints from 0 to 255; sums are XOR.
final class Field {
    private static final int POLYNOMIAL = 0x11d;
    private static final int ORDER = 255;
    private static final int[] POWERS = new int[2 * ORDER];
    private static final int[] LOGARITHMS = new int[ORDER + 1];

    static {
        int power = 1;
        for (int k = 0; k < ORDER; k++) {
            POWERS[k] = power;
            POWERS[k + ORDER] = power;
            LOGARITHMS[power] = k;
            power <<= 1;
            if (power > ORDER) {
                power ^= POLYNOMIAL;
            }
        }
    }

    private Field() {}

    static int multiply(int a, int b) {
        return a == 0 || b == 0 ? 0 : POWERS[LOGARITHMS[a] + LOGARITHMS[b]];
    }

    static int divide(int a, int b) {
        if (b == 0) {
            throw new ArithmeticException("division by zero");
        }
        return a == 0 ? 0 : POWERS[LOGARITHMS[a] + ORDER - LOGARITHMS[b]];
    }

    /// Which bits of a factor make up bit `bit` of its product with `constant`: bit `q` of the
    /// result says that bit `q` does.
    static int mask(int constant, int bit) {
        int mask = 0;
        for (int q = 0; q < 8; q++) {
            mask |= (multiply(constant, 1 << q) >> bit & 1) << q;
        }
        return mask;
    }
}
