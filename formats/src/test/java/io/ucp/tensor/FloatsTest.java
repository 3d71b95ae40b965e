package io.ucp.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;

class FloatsTest {
    private final ByteBuffer cell = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);

    @ParameterizedTest
    @CsvSource({
        "BFLOAT16, 0x1.0p0, 3f80",
        "BFLOAT16, 0x1.01p0, 3f80", // tie, down to even
        "BFLOAT16, 0x1.03p0, 3f82", // tie, up to even
        "BFLOAT16, 0x1.010000001p0, 3f81", // just over a tie that float cannot tell apart
        "BFLOAT16, 0x1.02ffffffffp0, 3f81", // just under one
        "BFLOAT16, 0x1.fffffep127, 7f80", // rounds over the top
        "BFLOAT16, 0x1.0p200, 7f80",
        "BFLOAT16, -0x1.0p200, ff80",
        "BFLOAT16, 0x1.0p-133, 1", // smallest subnormal
        "BFLOAT16, 0x1.0p-134, 0", // tie to zero
        "BFLOAT16, 0x1.8p-134, 1",
        "BFLOAT16, 0x1.00000001p-134, 1",
        "BFLOAT16, -0x1.0p-300, 8000",
        "BFLOAT16, -0.0, 8000",
        "FLOAT16, 0x1.0p0, 3c00",
        "FLOAT16, 0x1.002p0, 3c00",
        "FLOAT16, 0x1.006p0, 3c02",
        "FLOAT16, 0x1.00200000001p0, 3c01",
        "FLOAT16, 65504, 7bff",
        "FLOAT16, 65519.999, 7bff",
        "FLOAT16, 65520, 7c00",
        "FLOAT16, 0x1.0p-24, 1",
        "FLOAT16, 0x1.0p-25, 0",
        "FLOAT16, 0x1.000000001p-25, 1",
        "FLOAT16, 0x1.8p-24, 2",
        "FLOAT32, 0x1.000001p0, 3f800000",
        "FLOAT32, 0x1.000003p0, 3f800002",
        "FLOAT32, 0x1.0p-149, 1",
        "FLOAT32, 0x1.0p-150, 0",
        "FLOAT32, 0x1.0p128, 7f800000",
        "FLOAT32, Infinity, 7f800000",
        "FLOAT64, 0x1.0p-1074, 1",
    })
    void narrowingRoundsToTheNearestTiesToEven(DType dtype, double value, String bits) {
        Floats.put(dtype, cell, 0, value);
        long got =
                switch (dtype.width()) {
                    case 2 -> cell.getShort(0) & 0xffffL;
                    case 4 -> cell.getInt(0) & 0xffffffffL;
                    default -> cell.getLong(0);
                };
        assertThat(Long.toHexString(got)).isEqualTo(bits);
    }

    @ParameterizedTest
    @ValueSource(ints = {70_000, 4_097, 2_047, 3, 1})
    void castingManyIsCastingEach(int count) {
        DType[] floats = {DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16};
        Random random = new Random(5);
        for (DType held : floats) {
            ByteBuffer source =
                    ByteBuffer.allocateDirect(3 + count * held.width())
                            .order(ByteOrder.LITTLE_ENDIAN);
            for (int k = 0; k < count; k++) {
                // All bit patterns of 16 bits, in the high bits: NaN and infinities among them.
                for (int b = 0; b < held.width(); b++) {
                    int top = held.width() - 1 - b;
                    int bits = top == 0 ? k >>> 8 : top == 1 ? k : random.nextInt();
                    source.put(3 + (k + 1) * held.width() - 1 - top, (byte) bits);
                }
            }
            for (DType wanted : floats) {
                ByteBuffer target =
                        ByteBuffer.allocateDirect(1 + count * wanted.width())
                                .order(ByteOrder.LITTLE_ENDIAN);
                ByteBuffer each = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
                Floats.cast(held, source, 3, wanted, target, 1, count);
                for (int k = 0; k < count; k++) {
                    Floats.put(wanted, each, 0, Floats.get(held, source, 3 + k * held.width()));
                    int at = 1 + k * wanted.width();
                    if (Double.isNaN(Floats.get(wanted, each, 0))) {
                        assertThat(Floats.get(wanted, target, at)).isNaN();
                    } else if (target.slice(at, wanted.width())
                                    .mismatch(each.slice(0, wanted.width()))
                            >= 0) {
                        throw new AssertionError("%s to %s, value %d".formatted(held, wanted, k));
                    }
                }
            }
        }
    }

    @Test
    void addingAndPuttingManyIsDoingSoWithEach() {
        int count = 5_000;
        Random random = new Random(7);
        for (DType dtype :
                new DType[] {DType.FLOAT64, DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16}) {
            ByteBuffer values =
                    ByteBuffer.allocateDirect(1 + count * dtype.width())
                            .order(ByteOrder.LITTLE_ENDIAN);
            double[] numbers = random.doubles(count, -4, 4).toArray();
            Floats.putAll(dtype, numbers, values, 1, count);
            double[] sums = numbers.clone();
            ByteBuffer aligned = values.slice(1, values.capacity() - 1).order(values.order());
            Floats.add(dtype, aligned, sums, count);
            for (int k = 0; k < count; k++) {
                Floats.put(dtype, cell, 0, numbers[k]);
                double put = Floats.get(dtype, cell, 0);
                assertThat(Floats.get(dtype, values, 1 + k * dtype.width())).isEqualTo(put);
                assertThat(sums[k]).isEqualTo(numbers[k] + put);
            }
        }
    }

    @Test
    void everySixteenBitNumberSurvivesWideningAndNarrowing() {
        for (DType dtype : new DType[] {DType.FLOAT16, DType.BFLOAT16}) {
            for (int bits = 0; bits < 1 << 16; bits++) {
                cell.putShort(0, (short) bits);
                double value = Floats.get(dtype, cell, 0);
                Floats.put(dtype, cell, 2, value);
                if (Double.isNaN(value)) {
                    assertThat(Floats.get(dtype, cell, 2)).isNaN();
                } else {
                    assertThat(cell.getShort(2)).isEqualTo((short) bits);
                }
            }
        }
    }

    @Test
    void noSixteenBitNumberIsNearerThanTheOneRoundedTo() {
        Random random = new Random(5);
        for (DType dtype : new DType[] {DType.FLOAT16, DType.BFLOAT16}) {
            for (int round = 0; round < 20_000; round++) {
                double value = Math.scalb(random.nextDouble() - 0.5, random.nextInt(40) - 26);
                Floats.put(dtype, cell, 0, value);
                BigDecimal got = distance(dtype, 0, value);
                for (int step = -1; step <= 1; step += 2) {
                    cell.putShort(2, (short) (cell.getShort(0) + step));
                    if (Double.isFinite(Floats.get(dtype, cell, 2))) {
                        assertThat(got).isLessThanOrEqualTo(distance(dtype, 2, value));
                    }
                }
            }
        }
    }

    @Test
    void nanStaysNan() {
        for (DType dtype :
                new DType[] {DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32, DType.FLOAT64}) {
            for (int bits : new int[] {0x7f800001, 0x7fc00000, 0xffffffff}) {
                Floats.put(dtype, cell, 0, Float.intBitsToFloat(bits));
                assertThat(Floats.get(dtype, cell, 0)).isNaN();
            }
        }
    }

    private BigDecimal distance(DType dtype, int index, double value) {
        return new BigDecimal(Floats.get(dtype, cell, index)).subtract(new BigDecimal(value)).abs();
    }
}
