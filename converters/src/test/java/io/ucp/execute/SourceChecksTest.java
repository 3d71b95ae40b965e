package io.ucp.execute;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.io.Checksummed;
import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;
import io.ucp.tensor.Crc;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;

/// One entry of 200,000 bytes at 100 of a file, and one of 1,000 behind it.
class SourceChecksTest {
    private static final int FIRST = 100;
    private static final int SIZE = 200_000;
    private static final int SMALL = 1000;

    @TempDir Path folder;
    private byte[] bytes;
    private PlainFile file;
    private SourceChecks checks;

    @BeforeEach
    void twoEntries() throws IOException {
        bytes = new byte[FIRST + SIZE + SMALL + 7];
        new Random(3).nextBytes(bytes);
        Path path = Files.write(folder.resolve("a.pt"), bytes);
        file = PlainFile.of(path);
        checks =
                new SourceChecks(List.of(entry("a", FIRST, SIZE), entry("b", FIRST + SIZE, SMALL)));
    }

    private Checksummed entry(String name, int offset, int size) {
        int crc = Crc.ZIP.of(ByteBuffer.wrap(bytes, offset, size));
        return new Checksummed(file, name, offset, size, crc);
    }

    private void damage(int at) throws IOException {
        bytes[at] ^= 1;
        Files.write(file.path(), bytes);
    }

    private void read(OpenSources sources, int from, int to) throws IOException {
        sources.read(file, from, ByteBuffer.allocateDirect(to - from), new WindowSums());
    }

    private void all(int step) throws IOException {
        try (OpenSources sources = new OpenSources(2, checks)) {
            for (int from = bytes.length - step; from > -step; from -= step) {
                read(sources, Math.max(from, 0), from + step);
            }
            checks.finish(sources);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {7, 1000, 65_536, 201_107})
    void entriesThatAreWhatTheyWereAreAccepted(int step) {
        assertThatCode(() -> all(step)).doesNotThrowAnyException();
    }

    @ParameterizedTest
    @ValueSource(ints = {7, 1000, 65_536, 201_107})
    void aFlippedBitIsFoundWhateverTheRuns(int step) throws IOException {
        damage(FIRST + SIZE - 1);
        assertThatThrownBy(() -> all(step))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageStartingWith(file.path() + " at byte 100: 'a' has the CRC-32 ");
    }

    @Test
    void bytesThatAreReadTwiceCountOnce() throws IOException {
        try (OpenSources sources = new OpenSources(2, checks)) {
            Random random = new Random(4);
            for (int k = 0; k < 2000; k++) {
                int from = random.nextInt(bytes.length - 500);
                read(sources, from, from + 1 + random.nextInt(499));
            }
            read(sources, 0, bytes.length);
            assertThatCode(() -> checks.finish(sources)).doesNotThrowAnyException();
        }
    }

    @Test
    void theLittleThatNobodyReadIsReadAtTheEnd() throws IOException {
        damage(FIRST + SIZE - 60_000);
        try (OpenSources sources = new OpenSources(2, checks)) {
            read(sources, FIRST, FIRST + SIZE - 64 * 1024);
            assertThatThrownBy(() -> checks.finish(sources)).hasMessageContaining("'a'");
            assertThat(sources.bytesRead()).isEqualTo(SIZE);
        }
    }

    @Test
    void whatIsNotNeededIsNotRead() throws IOException {
        damage(FIRST + SIZE - 60_000);
        damage(FIRST + SIZE);
        try (OpenSources sources = new OpenSources(2, checks)) {
            read(sources, FIRST, FIRST + 1000);
            checks.finish(sources);
            assertThat(sources.bytesRead()).isEqualTo(1000);
        }
    }
}
