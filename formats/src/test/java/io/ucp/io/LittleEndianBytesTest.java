package io.ucp.io;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

import java.io.ByteArrayOutputStream;

final class LittleEndianBytesTest {
    @Test
    void numbersLieWithTheirLowestByteFirstAndAreCutToTheirWidth() {
        byte[] bytes =
                new LittleEndianBytes(1)
                        .u1(0x1ff)
                        .u2(0x1_2345)
                        .u4(0x1_89ab_cdefL)
                        .u8(0x0102_0304_0506_0708L)
                        .bytes(new byte[] {9, 10})
                        .fill('Z', 3)
                        .toByteArray();
        assertThat(bytes)
                .containsExactly(
                        0xff, 0x45, 0x23, 0xef, 0xcd, 0xab, 0x89, 8, 7, 6, 5, 4, 3, 2, 1, 9, 10,
                        'Z', 'Z', 'Z');
    }

    @Test
    void itGrowsWithWhatIsPutIn() {
        LittleEndianBytes bytes = new LittleEndianBytes(0);
        ByteArrayOutputStream expected = new ByteArrayOutputStream();
        for (int k = 0; k < 1000; k++) {
            bytes.u1(k).fill(k, k % 7).bytes(new byte[k % 5]);
            expected.write(k);
            for (int i = 0; i < k % 7; i++) {
                expected.write(k);
            }
            expected.writeBytes(new byte[k % 5]);
            assertThat(bytes.size()).isEqualTo(expected.size());
        }
        assertThat(bytes.toByteArray()).isEqualTo(expected.toByteArray());
    }
}
