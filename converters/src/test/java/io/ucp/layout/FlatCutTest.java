package io.ucp.layout;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.layout.FlatCut.Range;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.LongStream;

class FlatCutTest {
    static LongStream seeds() {
        return LongStream.range(0, 200);
    }

    @ParameterizedTest
    @MethodSource("seeds")
    void thePartsHoldEveryElementOnceAndTheRestIsPadding(long seed) {
        Random random = new Random(seed);
        List<Long> sizes =
                random.ints(1 + random.nextInt(6), 0, 40).asLongStream().boxed().toList();
        FlatCut cut = new FlatCut(sizes, 1 + random.nextInt(6), random.nextBoolean());
        long[][] seen = sizes.stream().map(n -> new long[n.intValue()]).toArray(long[][]::new);
        long held = 0;
        for (int p = 0; p < cut.degree(); p++) {
            long at = -1;
            for (Range r : cut.part(p)) {
                assertThat(r.at()).isGreaterThan(at);
                at = r.at() + r.to() - r.from() - 1;
                held += r.to() - r.from();
                for (long i = r.from(); i < r.to(); i++) {
                    seen[r.member()][(int) i]++;
                }
            }
            assertThat(at).isLessThan(cut.partExtent());
        }
        for (long[] member : seen) {
            assertThat(Arrays.stream(member).allMatch(n -> n == 1)).isTrue();
        }
        assertThat(held + cut.padding()).isEqualTo(cut.partExtent() * cut.degree());
    }

    @Test
    void aWholeGroupIsPaddedToTwiceTheDegree() {
        FlatCut cut = new FlatCut(List.of(10L, 3L), 4, false);
        assertThat(cut.partExtent()).isEqualTo(4);
        assertThat(cut.part(2)).containsExactly(new Range(0, 8, 10, 0), new Range(1, 0, 2, 2));
        assertThat(cut.part(3)).containsExactly(new Range(1, 2, 3, 0));
        assertThat(cut.padding()).isEqualTo(3);
    }

    @Test
    void eachMemberIsCutOnItsOwn() {
        FlatCut cut = new FlatCut(List.of(10L, 3L), 4, true);
        assertThat(cut.partExtent()).isEqualTo(3 + 1);
        assertThat(cut.part(1)).containsExactly(new Range(0, 3, 6, 0), new Range(1, 1, 2, 3));
        assertThat(cut.part(3)).containsExactly(new Range(0, 9, 10, 0));
    }
}
