package io.ucp.execute;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.tensor.Crc;
import io.ucp.tensor.TensorDigest;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.util.Random;

class WindowSumsTest {
    private static final int SIZE = 1 << 20;

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4})
    void anyRangeHasItsOwnSumWhateverWasAskedBefore(long seed) {
        Random random = new Random(seed);
        ByteBuffer window = random(random, SIZE);
        WindowSums sums = new WindowSums();
        sums.of(window);
        int low = 0;
        for (int round = 0; round < 300; round++) {
            // Runs behind each other, then ranges anywhere: inside, across and around them.
            boolean ascends = round % 3 != 2 && low < SIZE - 40_000;
            int from = ascends ? low + random.nextInt(3) * 64 : random.nextInt(SIZE);
            int to = from + random.nextInt(ascends ? 40_000 : SIZE - from + 1);
            to = Math.min(to, SIZE);
            low = ascends ? to : low;
            assertThat(sums.zip(from, to)).isEqualTo(Crc.ZIP.of(window.slice(from, to - from)));
            assertThat(sums.castagnoli(from, to))
                    .isEqualTo(Crc.CASTAGNOLI.of(window.slice(from, to - from)));
        }
    }

    /// As [OpenSources] asks: for what was read into the window, and for what was read elsewhere.
    @ParameterizedTest
    @ValueSource(longs = {8, 9})
    void whatWasSummedAsItWasReadIsPartOfTheWindowsSumAndNothingElseIs(long seed) {
        Random random = new Random(seed);
        ByteBuffer window = random(random, SIZE);
        ByteBuffer replica = random(random, SIZE);
        WindowSums sums = new WindowSums();
        sums.of(window);
        for (int from = 0; from < SIZE; ) {
            int to = Math.min(SIZE, from + 1 + random.nextInt(60_000));
            assertThat(sums.zip(replica, from, to))
                    .isEqualTo(Crc.ZIP.of(replica.slice(from, to - from)));
            assertThat(sums.zip(window, from, to))
                    .isEqualTo(Crc.ZIP.of(window.slice(from, to - from)));
            sums.take(replica, from, to);
            sums.take(window, from, to);
            from = to;
        }
        assertThat(sums.castagnoli(100, SIZE - 100))
                .isEqualTo(Crc.CASTAGNOLI.of(window.slice(100, SIZE - 200)));
        assertThat(sums.zip(100, SIZE - 100)).isEqualTo(Crc.ZIP.of(window.slice(100, SIZE - 200)));
        assertThat(sums.zip(0, SIZE)).isEqualTo(Crc.ZIP.of(window.duplicate()));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 100, 8192, 30_000})
    void moreRunsThanAreKeptStillSumUp(int length) {
        ByteBuffer window = random(new Random(length), SIZE);
        WindowSums sums = new WindowSums();
        sums.of(window);
        for (int at = 0; at + length <= SIZE; at += length) {
            assertThat(sums.zip(at, at + length)).isEqualTo(Crc.ZIP.of(window.slice(at, length)));
        }
        assertThat(sums.zip(0, SIZE)).isEqualTo(Crc.ZIP.of(window.duplicate()));
    }

    @ParameterizedTest
    @ValueSource(longs = {5, 6})
    void nothingOfTheWindowBeforeIsLeft(long seed) {
        Random random = new Random(seed);
        WindowSums sums = new WindowSums();
        for (int round = 0; round < 4; round++) {
            ByteBuffer window = random(random, SIZE);
            sums.of(window);
            assertThat(sums.zip(0, SIZE)).isEqualTo(Crc.ZIP.of(window.duplicate()));
            assertThat(sums.castagnoli(64, SIZE))
                    .isEqualTo(Crc.CASTAGNOLI.of(window.slice(64, SIZE - 64)));
        }
    }

    /// Rows of a column shard lie evenly; those of its neighbour come in other windows, and a
    /// transposed tensor's run backwards.
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void rowsThatArePutTogetherGiveTheDigestOfTheTensor(boolean ascending) {
        int rows = 37;
        int row = 129;
        ByteBuffer tensor = random(new Random(7), rows * row);
        TensorDigest digest = new TensorDigest(tensor.limit());
        for (int[] columns : new int[][] {{0, 50}, {50, 51}, {51, 129}}) {
            EvenRuns runs = new EvenRuns(digest);
            for (int k = 0; k < rows; k++) {
                int start = (ascending ? k : rows - 1 - k) * row + columns[0];
                ByteBuffer run = tensor.slice(start, columns[1] - columns[0]);
                runs.add(
                        start,
                        run.limit(),
                        Crc.CASTAGNOLI.of(run.duplicate()),
                        Crc.ZIP.of(run.duplicate()));
            }
            assertThat(digest.complete()).isFalse();
            runs.flush();
        }
        TensorDigest whole = new TensorDigest(tensor.limit());
        whole.add(0, tensor);
        assertThat(digest.complete()).isTrue();
        assertThat(digest).hasToString(whole.toString());
    }

    private static ByteBuffer random(Random random, int size) {
        byte[] bytes = new byte[size];
        random.nextBytes(bytes);
        return ByteBuffer.wrap(bytes);
    }
}
