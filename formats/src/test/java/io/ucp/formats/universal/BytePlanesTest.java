package io.ucp.formats.universal;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Random;

class BytePlanesTest {
    /// Around multiples of eight elements, and of the blocks that are sorted at a time.
    private static final List<Integer> COUNTS =
            List.of(0, 1, 7, 8, 9, 15, 16, 1000, 65_535, 65_536, 65_537, 131_072, 200_003);

    @ParameterizedTest
    @ValueSource(ints = {2, 4})
    void planeHoldsOneByteOfEveryElement(int width) {
        BytePlanes planes = new BytePlanes();
        for (int count : COUNTS) {
            ByteBuffer elements = noise(count * width);
            ByteBuffer expected = ByteBuffer.allocate(count * width);
            for (int p = 0; p < width; p++) {
                for (int k = 0; k < count; k++) {
                    expected.put(elements.get(k * width + p));
                }
            }
            ByteBuffer sorted = ByteBuffer.allocateDirect(count * width);
            planes.split(elements, sorted, width);
            assertThat(sorted).as("%d elements", count).isEqualTo(expected.flip());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 4})
    void joinsWhatItSplitAndWritesNothingElse(int width) {
        BytePlanes planes = new BytePlanes();
        for (int count : COUNTS) {
            int size = count * width;
            ByteBuffer elements = noise(size + 8).position(3).limit(3 + size);
            ByteBuffer sorted = ByteBuffer.allocateDirect(size + 8);
            ByteBuffer back = ByteBuffer.allocateDirect(size + 8);
            planes.split(elements, sorted.position(5).limit(5 + size), width);
            planes.join(sorted, back.position(2).limit(2 + size), width);
            assertThat(back).isEqualTo(elements);
            for (ByteBuffer written : List.of(sorted, back)) {
                int from = written.position();
                assertThat(written.clear().slice(0, from)).isEqualTo(ByteBuffer.allocate(from));
                assertThat(written.slice(from + size, 8 - from))
                        .isEqualTo(ByteBuffer.allocate(8 - from));
            }
        }
    }

    private static ByteBuffer noise(int size) {
        byte[] bytes = new byte[size];
        new Random(size).nextBytes(bytes);
        return ByteBuffer.allocateDirect(size).put(bytes).flip();
    }
}
