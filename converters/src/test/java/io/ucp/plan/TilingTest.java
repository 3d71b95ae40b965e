package io.ucp.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.Elementwise;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;
import io.ucp.tensor.Transfer;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;

class TilingTest {
    /// Columns of a matrix of 1000 rows of 12, by 4, 3 and 5.
    private static final List<Transfer> COLUMNS =
            List.of(columns(1000, 0, 4), columns(1000, 4, 3), columns(1000, 7, 5));

    @Test
    void interleavedColumnsTile() {
        assertThat(Tiling.exact(COLUMNS, 12_000)).isTrue();
        assertThatThrownBy(() -> plan(COLUMNS.subList(0, 2)))
                .isInstanceOf(BrokenPlanException.class)
                .hasMessage(
                        "internal error: plan of out.bin: byte 35 of copy 0 of w/fp32 is not"
                                + " written exactly once");
    }

    @Test
    void aGapThatAnOverlapMakesUpForIsFound() {
        List<Transfer> moved =
                List.of(columns(1000, 0, 4), columns(1000, 4, 3), columns(1000, 6, 5));
        assertThatThrownBy(() -> plan(moved)).hasMessageContaining("byte 31 of copy 0");
        List<Transfer> oneRowShort =
                List.of(columns(999, 0, 4), columns(1000, 4, 3), columns(1000, 7, 5));
        assertThatThrownBy(() -> plan(oneRowShort))
                .hasMessageContaining("byte %d of copy 0".formatted(7 + 999 * 12 * 4));
    }

    @Test
    void stepsThatLeaveAGapOrOverlapAreRefused() {
        assertThatThrownBy(() -> target(10, new Step.Fill(0, 4), new Step.Fill(5, 5)))
                .hasMessage("internal error: plan of out.bin: byte 4 is written by no step");
        assertThatThrownBy(() -> target(10, new Step.Fill(0, 6), new Step.Fill(5, 5)))
                .hasMessage("internal error: plan of out.bin: byte 5 is written twice");
        assertThatThrownBy(() -> target(10, new Step.Fill(0, 6)))
                .hasMessage("internal error: plan of out.bin: byte 6 is written by no step");
        assertThatThrownBy(() -> target(10, new Step.Fill(0, 16)))
                .hasMessage("internal error: plan of out.bin: byte 10 lies past the end");
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5})
    void theProofAgreesWithCountingEveryPosition(long seed) {
        Random random = new Random(seed);
        int faulty = 0;
        for (int round = 0; round < 300; round++) {
            Piece whole = Piece.whole(Shape.of(1 + random.nextInt(5), 6, 1 + random.nextInt(5)));
            int count = Math.toIntExact(whole.count());
            List<Transfer> moves = new ArrayList<>();
            int at = 0;
            while (at < count) {
                int next = Math.min(count, at + 1 + random.nextInt(9));
                for (Piece p : whole.cut(at, next)) {
                    moves.addAll(p.intersect(whole));
                }
                at = next;
            }
            if (random.nextBoolean()) {
                Transfer t = moves.remove(random.nextInt(moves.size()));
                moves.add(t.shifted(0, random.nextInt(3) - 1));
            }
            int[] covered = new int[count + 2];
            for (Transfer t : moves) {
                t.lines(
                        -2,
                        count + 2,
                        (_, _, to, stride, n) -> {
                            for (long k = 0; k < n; k++) {
                                covered[(int) (to + k * stride) + 1]++;
                            }
                        });
            }
            boolean tiles = covered[0] == 0 && covered[count + 1] == 0;
            for (int k = 1; k <= count; k++) {
                tiles &= covered[k] == 1;
            }
            if (moves.stream().allMatch(t -> t.to() >= 0)) {
                assertThat(Tiling.exact(moves, count)).isEqualTo(tiles);
                faulty += tiles ? 0 : 1;
            }
        }
        assertThat(faulty).isGreaterThan(20);
    }

    @Test
    void aMillionInterleavedBoxesAreProvenQuickly() {
        List<Transfer> moves = new ArrayList<>();
        for (int c = 0; c < 1000; c++) {
            for (int block = 0; block < 100; block++) {
                long to = block * 50_000L * 1000 + c;
                moves.add(
                        Transfer.of(new long[] {50_000}, 0, new long[] {1}, to, new long[] {1000}));
            }
        }
        assertThat(Tiling.exact(moves, 5_000_000_000L)).isTrue();
        moves.set(5, moves.get(4));
        assertThat(Tiling.exact(moves, 5_000_000_000L)).isFalse();
    }

    private static Transfer columns(long rows, long first, long count) {
        return Transfer.of(
                new long[] {rows, count}, 0, new long[] {count, 1}, first, new long[] {12, 1});
    }

    private static TargetPlan plan(List<Transfer> moves) {
        PlainFile source = new PlainFile(Path.of("in.bin"), 1 << 20);
        List<Step.Origin> origins = moves.stream().map(m -> new Step.Origin(source, 0, m)).toList();
        Elementwise of =
                new Elementwise(
                        "w", "fp32", DType.FLOAT32, 12_000, List.of(Piece.whole(Shape.of(12_000))));
        Step.Copy copy =
                new Step.Copy(
                        Spans.of(origins, o -> o.moves().to(), o -> o.moves().toEnd()),
                        Step.Rule.FIRST);
        return target(
                7 + 48_000,
                new Step.Fill(0, 7),
                new Step.Elements(7, of, DType.FLOAT32, List.of(copy), 0));
    }

    private static TargetPlan target(long size, Step... steps) {
        return TargetPlan.of(
                "out.bin",
                size,
                List.of(steps),
                List.of(),
                List.of(),
                Optional.empty(),
                Optional.empty());
    }
}
