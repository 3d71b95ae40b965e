package io.ucp.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32;
import java.util.zip.CRC32C;

class TensorDigestTest {
    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6})
    void runsInAnyOrderGiveTheDigestOfTheWhole(long seed) {
        Random random = new Random(seed);
        for (int round = 0; round < 50; round++) {
            byte[] tensor = new byte[random.nextInt(5000)];
            random.nextBytes(tensor);
            List<int[]> runs = new ArrayList<>();
            for (int at = 0; at < tensor.length; ) {
                int length = 1 + random.nextInt(Math.min(700, tensor.length - at));
                runs.add(new int[] {at, length});
                at += length;
            }
            Collections.shuffle(runs, random);
            TensorDigest digest = new TensorDigest(tensor.length);
            for (int[] run : runs) {
                assertThat(digest.complete()).isFalse();
                digest.add(run[0], ByteBuffer.wrap(tensor, run[0], run[1]));
            }
            assertThat(digest.complete()).isTrue();
            assertThat(digest).hasToString(expected(tensor));
        }
    }

    @Test
    void aRunFarFromTheEndIsMovedPastAllOfIt() {
        // 5 GiB of zeros behind a run: the same as feeding the zeros, in steps.
        byte[] zeros = new byte[1 << 20];
        CRC32 whole = new CRC32();
        whole.update(7);
        for (int k = 0; k < 5 << 10; k++) {
            whole.update(zeros);
        }
        int run = Crc.ZIP.of(ByteBuffer.wrap(new byte[] {7}));
        int behind = 0;
        int piece = Crc.ZIP.of(ByteBuffer.wrap(zeros));
        for (int k = 0; k < 5 << 10; k++) {
            behind ^= Crc.ZIP.before(piece, (long) k << 20);
        }
        assertThat(Crc.ZIP.before(run, 5L << 30) ^ behind).isEqualTo((int) whole.getValue());
    }

    @Test
    void everyFlippedBitChangesBothHalves() {
        byte[] tensor = new byte[100];
        String whole = expected(tensor);
        for (int bit = 0; bit < 800; bit++) {
            tensor[bit / 8] ^= (byte) (1 << bit % 8);
            String flipped = expected(tensor);
            assertThat(flipped.substring(0, 8)).isNotEqualTo(whole.substring(0, 8));
            assertThat(flipped.substring(8)).isNotEqualTo(whole.substring(8));
            tensor[bit / 8] ^= (byte) (1 << bit % 8);
        }
    }

    @Test
    void anEmptyTensorHasADigest() {
        assertThat(new TensorDigest(0)).hasToString("0000000000000000");
        assertThat(new TensorDigest(0).complete()).isTrue();
    }

    @Test
    void aRunOutsideTheTensorIsRefused() {
        assertThatThrownBy(() -> new TensorDigest(4).add(2, ByteBuffer.allocate(3)))
                .hasMessage("run 2 + 3 of a tensor of 4 bytes");
    }

    private static String expected(byte[] bytes) {
        CRC32C c = new CRC32C();
        c.update(bytes);
        CRC32 z = new CRC32();
        z.update(bytes);
        return "%08x%08x".formatted(c.getValue(), z.getValue());
    }
}
