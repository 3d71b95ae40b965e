package io.ucp.formats.universal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.github.luben.zstd.ZstdCompressCtx;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;

class ZstdFramesTest {
    private static final byte[] VALUES = values(700_000);

    @ParameterizedTest
    @ValueSource(ints = {1, 4, 260_095, 260_096, 260_097, 520_192, 700_000})
    void giveBackWhatTheyHold(int size) throws ZstdFrames.DamagedException {
        byte[] raw = Arrays.copyOf(VALUES, size);
        byte[] frames = frames(raw);
        assertThat(frames.length).isLessThanOrEqualTo(ZstdFrames.bound(size));
        assertThat(decompressed(frames, size)).isEqualTo(raw);
    }

    /// Such as Arrow's own writers make, or ucp before it cut them.
    @Test
    void mayBeOfAnySize() throws ZstdFrames.DamagedException {
        byte[] one = frame(VALUES, 0, 700_000);
        assertThat(decompressed(one, 700_000)).isEqualTo(VALUES);
        byte[] three =
                joined(
                        frame(VALUES, 0, 3),
                        frame(VALUES, 3, 600_000),
                        frame(VALUES, 600_000, 700_000));
        assertThat(decompressed(three, 700_000)).isEqualTo(VALUES);
    }

    @Test
    void areOnlyAsManyAsHoldTheValues() throws ZstdFrames.DamagedException {
        byte[] first = frame(VALUES, 0, 400_000);
        byte[] both = joined(first, frame(VALUES, 400_000, 700_000));
        ByteBuffer frames = direct(both);
        ByteBuffer raw = ByteBuffer.allocateDirect(400_000);
        ZstdFrames.decompress(frames, raw);
        assertThat(raw.flip()).isEqualTo(ByteBuffer.wrap(VALUES, 0, 400_000));
        assertThat(frames.position()).isEqualTo(first.length);
        assertThat(frames.limit()).isEqualTo(both.length);
    }

    @Test
    void areRefusedWhereTheirSizesAreOthers() {
        byte[] first = frame(VALUES, 0, 400_000);
        byte[] both = joined(first, frame(VALUES, 400_000, 700_000));
        refused(both, 399_999, 0, "a zstd frame of 400000 bytes");
        refused(both, 699_999, first.length, "a zstd frame of 300000 bytes");
        refused(both, 700_001, both.length, "no zstd frame");
        refused(first, 700_000, first.length, "no zstd frame");
        refused(new byte[0], 1, 0, "no zstd frame");
        refused(joined(first, new byte[20]), 700_000, first.length, "no zstd frame");
        byte[] empty = frame(VALUES, 0, 0);
        refused(empty, 1, 0, "a zstd frame of 0 bytes");
    }

    @Test
    void areRefusedWhereTheyAreDamaged() {
        byte[] first = frame(VALUES, 0, 400_000);
        byte[] both = joined(first, frame(VALUES, 400_000, 700_000));
        byte[] cut = Arrays.copyOf(both, both.length - 1);
        refused(cut, 700_000, first.length, "a zstd frame that is damaged");
        byte[] marked = both.clone();
        marked[first.length + 4] |= 0x10;
        refused(marked, 700_000, first.length + 4, "a zstd frame with its unused bit set");
    }

    @Test
    void hideNoFlippedBit() {
        byte[] both = joined(frame(VALUES, 0, 400), frame(VALUES, 400, 700));
        for (int bit = 0; bit < 8 * both.length; bit++) {
            byte[] flipped = both.clone();
            flipped[bit / 8] ^= (byte) (1 << bit % 8);
            assertThat(noticed(flipped, 700)).as("bit %d", bit).isTrue();
        }
    }

    /// Whether the bytes are refused, or not all of them are frames.
    private static boolean noticed(byte[] bytes, int size) {
        ByteBuffer frames = direct(bytes);
        try {
            ZstdFrames.decompress(frames, ByteBuffer.allocateDirect(size));
            return frames.hasRemaining();
        } catch (ZstdFrames.DamagedException _) {
            return true;
        }
    }

    private static void refused(byte[] frames, int size, int at, String found) {
        assertThatThrownBy(() -> decompressed(frames, size))
                .isInstanceOfSatisfying(
                        ZstdFrames.DamagedException.class,
                        damage -> {
                            assertThat(damage.found).startsWith(found);
                            assertThat(damage.at).isEqualTo(at);
                        });
    }

    private static byte[] frames(byte[] raw) {
        try (ZstdCompressCtx context = new ZstdCompressCtx().setChecksum(true)) {
            ByteBuffer into = ByteBuffer.allocateDirect(ZstdFrames.bound(raw.length));
            ZstdFrames.compress(context, direct(raw), into);
            return bytes(into.flip());
        }
    }

    private static byte[] frame(byte[] raw, int from, int to) {
        try (ZstdCompressCtx context = new ZstdCompressCtx().setChecksum(true)) {
            return context.compress(Arrays.copyOfRange(raw, from, to));
        }
    }

    private static byte[] decompressed(byte[] frames, int size) throws ZstdFrames.DamagedException {
        ByteBuffer raw = ByteBuffer.allocateDirect(size);
        ZstdFrames.decompress(direct(frames), raw);
        return bytes(raw.flip());
    }

    private static byte[] joined(byte[]... parts) {
        ByteBuffer all = ByteBuffer.allocate(Arrays.stream(parts).mapToInt(p -> p.length).sum());
        for (byte[] part : parts) {
            all.put(part);
        }
        return all.array();
    }

    private static ByteBuffer direct(byte[] bytes) {
        return ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
    }

    private static byte[] bytes(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    /// As weights are: their signs and exponents can be compressed, the rest is noise.
    private static byte[] values(int size) {
        ByteBuffer raw = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
        Random random = new Random(1);
        while (raw.hasRemaining()) {
            raw.putFloat((float) (0.02 * random.nextGaussian()));
        }
        return raw.array();
    }
}
