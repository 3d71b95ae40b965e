package io.ucp.formats.universal;

import static io.ucp.formats.universal.Compression.SHUFFLED;
import static io.ucp.formats.universal.Compression.ZSTD;

import static org.assertj.core.api.Assertions.assertThat;

import com.github.luben.zstd.Zstd;

import io.ucp.io.WindowAssembler;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.RecordBatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import java.util.Random;

class ZstdBatchesTest {
    /// Of a whole batch, and some.
    private static final int ELEMENTS = (1 << 20) + 12_345;

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4, 5, 6})
    void higherLevelsMakeWeightsNoLarger(int level) {
        assertThat(size(ZSTD, level)).isLessThanOrEqualTo(size(ZSTD, 1));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 7, 9, 12, 13})
    void shufflingMakesWeightsSmallerByAtLeastATwentiethAtAnyLevel(int level) {
        assertThat(size(SHUFFLED, level))
                .isLessThan((int) (0.95 * size(ZSTD, level)))
                .isLessThan((int) (1.005 * size(SHUFFLED, 1)));
    }

    /// What their first levels look for is made for bytes of floats, and finds zeros all the same.
    @Test
    void shufflingKeepsZerosSmall() {
        ByteBuffer zeros = ByteBuffer.allocateDirect(window(1).remaining());
        try (WindowAssembler.Encoder encoder = assembler(SHUFFLED, 1).encoder()) {
            assertThat(encoder.encode(1, zeros).remaining()).isLessThan(4096);
        }
    }

    private static int size(Compression compression, int level) {
        return encoded(compression, level, 1).remaining();
    }

    @ParameterizedTest
    @CsvSource({"ZSTD,1", "ZSTD,3", "ZSTD,4", "ZSTD,5", "ZSTD,22", "SHUFFLED,1", "SHUFFLED,5"})
    void givesBackWhatItWasGiven(Compression compression, int level) {
        WindowAssembler assembler = assembler(compression, level);
        for (int window = 1; window <= 2; window++) {
            ByteBuffer raw = window(window);
            ByteBuffer encoded = encoded(compression, level, window);
            ByteBuffer back = ByteBuffer.allocateDirect(raw.remaining());
            assertThat(assembler.decode(window, encoded, back)).isTrue();
            assertThat(back.hasRemaining()).isFalse();
            assertThat(back.flip()).isEqualTo(raw);
            for (int size = 0; size < encoded.remaining(); size += 65_521) {
                ByteBuffer cut = encoded.slice(0, size);
                assertThat(assembler.decode(window, cut, back.clear()))
                        .as("%d bytes", size)
                        .isFalse();
            }
        }
    }

    /// As Arrow's readers do.
    @Test
    void isOneCallToDecompress() {
        ByteBuffer encoded = encoded(ZSTD, 3, 1).order(ByteOrder.LITTLE_ENDIAN);
        int body = 8 + encoded.getInt(4); // the message and the eight bytes before it
        int size = Math.toIntExact(encoded.getLong(body));
        byte[] frames = new byte[length(encoded.slice(0, body))];
        encoded.get(body + 8, frames);
        assertThat(ByteBuffer.wrap(Zstd.decompress(frames, size))).isEqualTo(window(1));
    }

    /// Bytes of the frames, as the message of the batch says it.
    private static int length(ByteBuffer message) {
        Message root = Message.getRootAsMessage(message.position(8).slice());
        RecordBatch batch = (RecordBatch) root.header(new RecordBatch());
        return Math.toIntExact(batch.buffers(1).length() - 8);
    }

    @Test
    void encodesAWindowAlikeWhateverCameBefore() {
        for (Compression compression : List.of(ZSTD, SHUFFLED)) {
            try (WindowAssembler.Encoder encoder = assembler(compression, 3).encoder()) {
                encoder.encode(1, window(1));
                encoder.encode(2, window(2));
                assertThat(encoder.encode(1, window(1))).isEqualTo(encoded(compression, 3, 1));
            }
        }
    }

    private static ByteBuffer encoded(Compression compression, int level, int window) {
        try (WindowAssembler.Encoder encoder = assembler(compression, level).encoder()) {
            ByteBuffer bytes = encoder.encode(window, window(window));
            return ByteBuffer.allocateDirect(bytes.remaining()).put(bytes).flip();
        }
    }

    /// Windows 1 and 2 are the two batches.
    private static WindowAssembler assembler(Compression compression, int level) {
        var noise = Samples.parameter("noise", Shape.of(ELEMENTS), Map.of("fp32", DType.FLOAT32));
        StateFile file = StateFile.pack(List.of(noise), Limits.STANDARD, compression).getFirst();
        return StateFileLayout.of(file, level).target().assembler().orElseThrow();
    }

    /// As weights are: their signs and exponents can be compressed, the rest is noise.
    private static ByteBuffer window(int window) {
        List<Long> cuts = assembler(ZSTD, 1).cuts();
        int size = Math.toIntExact(cuts.get(window) - cuts.get(window - 1));
        ByteBuffer raw = ByteBuffer.allocateDirect(size).order(ByteOrder.LITTLE_ENDIAN);
        Random random = new Random(window);
        while (raw.hasRemaining()) {
            raw.putFloat((float) (0.02 * random.nextGaussian()));
        }
        return raw.flip();
    }
}
