package io.ucp.parity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Random;
import java.util.stream.IntStream;

final class CauchyCodeTest {
    /// Powers of 2 modulo 0x11d as ISO/IEC 18004 (QR codes) prints them, which has the same field.
    @Test
    void fieldIsThatOfTheStandards() {
        int[] powers = new int[14];
        int power = 1;
        for (int k = 0; k < powers.length; k++) {
            powers[k] = power;
            power = Field.multiply(power, 2);
        }
        assertThat(powers).containsExactly(1, 2, 4, 8, 16, 32, 64, 128, 29, 58, 116, 232, 205, 135);
    }

    @Test
    void everyElementButZeroHasAnInverse() {
        for (int a = 1; a < 256; a++) {
            assertThat(Field.multiply(a, Field.divide(1, a))).isEqualTo(1);
            for (int b = 0; b < 256; b++) {
                assertThat(Field.multiply(a, b)).isEqualTo(slow(a, b));
            }
        }
        assertThatThrownBy(() -> Field.divide(1, 0)).isInstanceOf(ArithmeticException.class);
    }

    /// Multiplication as it is written down: shift and reduce.
    private static int slow(int a, int b) {
        int product = 0;
        int shifted = a;
        for (int bits = b; bits != 0; bits >>= 1) {
            product ^= (bits & 1) * shifted;
            shifted = shifted << 1 ^ (shifted >> 7) * 0x11d;
        }
        return product;
    }

    /// The vector that other Reed-Solomon libraries test with: five members of two bytes under the
    /// systematic form of a Vandermonde matrix. It exercises this field and nothing of our matrix.
    @Test
    void fieldGivesThePublishedVandermondeVector() {
        int[][] data = {{0, 1}, {4, 5}, {2, 3}, {6, 7}, {8, 9}};
        int[][] parity = {{12, 13}, {10, 11}, {14, 15}, {90, 91}, {94, 95}};
        // The polynomial of degree 4 through data at 0..4, evaluated at 5..9.
        for (int row = 0; row < 5; row++) {
            for (int at = 0; at < 2; at++) {
                assertThat(interpolated(data, at, 5 + row)).isEqualTo(parity[row][at]);
            }
        }
    }

    private static int interpolated(int[][] data, int at, int x) {
        int sum = 0;
        for (int i = 0; i < data.length; i++) {
            int term = data[i][at];
            for (int j = 0; j < data.length; j++) {
                if (j != i) {
                    term = Field.multiply(term, Field.divide(x ^ j, i ^ j));
                }
            }
            sum ^= term;
        }
        return sum;
    }

    @Test
    void firstParityIsPlainXor() {
        assertThat(IntStream.range(0, 255).map(i -> CauchyCode.coefficient(0, i))).containsOnly(1);
    }

    /// The matrix is part of the file format.
    @Test
    void coefficientsStayAsTheyAre() {
        assertThat(IntStream.range(0, 6).map(i -> CauchyCode.coefficient(1, i)).toArray())
                .containsExactly(127, 252, 126, 254, 233, 116);
        assertThat(IntStream.range(0, 6).map(i -> CauchyCode.coefficient(2, i)).toArray())
                .containsExactly(226, 255, 230, 253, 180, 133);
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "1, 3", "2, 1", "4, 2", "3, 3", "5, 4", "8, 3"})
    void anyLossUpToTheParityIsMadeUpFor(int data, int parity) {
        CauchyCode code = new CauchyCode(data, parity);
        Random random = new Random(data * 31 + parity);
        int[] word = new int[code.elements()];
        for (int i = 0; i < data; i++) {
            word[i] = random.nextInt(256);
            for (int r = 0; r < parity; r++) {
                word[data + r] ^= Field.multiply(CauchyCode.coefficient(r, i), word[i]);
            }
        }
        for (int pattern = 1; pattern < 1 << code.elements(); pattern++) {
            if (Integer.bitCount(pattern) <= parity) {
                BitSet lost = BitSet.valueOf(new long[] {pattern});
                assertThat(recovered(code, word, lost))
                        .as("lost %s of %d + %d", lost, data, parity)
                        .isEqualTo(lost.stream().map(e -> word[e]).toArray());
            }
        }
    }

    private static int[] recovered(CauchyCode code, int[] word, BitSet lost) {
        int members = lost.get(0, code.data()).cardinality();
        int[] rows =
                IntStream.range(0, code.parity())
                        .filter(r -> !lost.get(code.data() + r))
                        .limit(members)
                        .toArray();
        int[][] factors = code.recover(lost.stream().toArray(), rows);
        return Arrays.stream(factors)
                .mapToInt(
                        f -> {
                            int sum = 0;
                            for (int e = 0; e < f.length; e++) {
                                assertThat(f[e] != 0 && lost.get(e)).isFalse();
                                sum ^= Field.multiply(f[e], word[e]);
                            }
                            return sum;
                        })
                .toArray();
    }

    @Test
    void theLargestCodeRecoversToo() {
        CauchyCode code = new CauchyCode(200, 56);
        int[] lost = IntStream.range(100, 156).toArray();
        int[][] factors = code.recover(lost, IntStream.range(0, 56).toArray());
        assertThat(factors).hasDimensions(56, 256);
        assertThatThrownBy(() -> new CauchyCode(200, 57))
                .isInstanceOf(IllegalArgumentException.class);
    }

    /// The kernel in planes, held against symbols taken out of the planes one by one.
    @ParameterizedTest
    @CsvSource({"64", "128", "4096", "65536", "65600", "200064"})
    void planesHoldTheSameSymbolsAsBytes(int size) {
        Random random = new Random(size);
        byte[][] members = new byte[3][size];
        PlaneSums sums = new PlaneSums(2, size);
        sums.reset(size);
        for (int i = 0; i < members.length; i++) {
            random.nextBytes(members[i]);
            sums.add(
                    ByteBuffer.wrap(members[i]),
                    new int[] {CauchyCode.coefficient(1, i), CauchyCode.coefficient(7, i)});
        }
        for (int sum = 0; sum < 2; sum++) {
            ByteBuffer out = ByteBuffer.allocate(size);
            sums.get(sum, out);
            int row = sum == 0 ? 1 : 7;
            for (int k = 0; k < 2000; k++) {
                int symbol = random.nextInt(size);
                int expected = 0;
                for (int i = 0; i < members.length; i++) {
                    expected ^=
                            Field.multiply(
                                    CauchyCode.coefficient(row, i), symbol(members[i], symbol));
                }
                assertThat(symbol(out.array(), symbol)).isEqualTo(expected);
            }
        }
    }

    /// Symbol `number` of a block: bit `number` of each plane of its cell.
    private static int symbol(byte[] block, int number) {
        int cell = number / PlaneSums.CELL * PlaneSums.CELL;
        int plane = Math.min(PlaneSums.CELL, block.length - cell) / 8;
        int bit = number - cell;
        int symbol = 0;
        for (int p = 0; p < 8; p++) {
            symbol |= (block[cell + p * plane + bit / 8] >> bit % 8 & 1) << p;
        }
        return symbol;
    }

    @Test
    void sumsBeginAnewWithEveryStripe() {
        PlaneSums sums = new PlaneSums(1, 128);
        ByteBuffer ones = ByteBuffer.allocate(128);
        Arrays.fill(ones.array(), (byte) 1);
        sums.reset(128);
        sums.add(ones, new int[] {1});
        sums.reset(64);
        ByteBuffer out = ByteBuffer.allocate(64);
        sums.get(0, out);
        assertThat(out.array()).containsOnly(0);
    }
}
