package io.ucp.plan;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.Coordinate;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Map;

final class RoundTripTest {
    /// Eight rows of two, of which seven are real.
    private static final Shape HELD = Shape.of(8, 2);

    private static RankShard rows(int rank, long start, long extent) {
        Piece piece =
                Piece.of(
                        HELD.dims(),
                        new long[] {start, 0},
                        new long[] {extent, 2},
                        0,
                        new long[] {2, 1});
        return new RankShard(
                "w",
                Coordinate.NONE.with("tp", rank),
                Shape.of(extent, 2),
                List.of(piece),
                2 * extent);
    }

    private static void prove(RankShard... shards) {
        ParameterFacts facts =
                new ParameterFacts(
                        "w",
                        HELD,
                        Shape.of(7, 2),
                        Map.of("weight", DType.FLOAT32),
                        Map.of(),
                        ParameterFacts.Split.UNKNOWN,
                        false,
                        false,
                        -1,
                        List.of(),
                        Map.of(),
                        List.of());
        RoundTrip.prove(
                List.of(facts),
                new TargetJob(
                        List.of(), 0, Map.of("w", List.of(shards)), Map.of("w", HELD), List.of()));
    }

    @Test
    void ranksThatShareAParameterGiveItBack() {
        assertThatCode(() -> prove(rows(0, 0, 4), rows(1, 4, 4))).doesNotThrowAnyException();
    }

    @Test
    void ranksThatHoldTheSameCountOnce() {
        assertThatCode(() -> prove(rows(0, 0, 8), rows(1, 0, 8))).doesNotThrowAnyException();
    }

    @Test
    void rowsOfPaddingNeedNotComeBack() {
        assertThatCode(() -> prove(rows(0, 0, 4), rows(1, 4, 3))).doesNotThrowAnyException();
    }

    @Test
    void aRowThatNoRankHoldsIsNotLostInSilence() {
        assertThatThrownBy(() -> prove(rows(0, 0, 4), rows(1, 5, 3)))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("w: the ranks of the job together hold [4:5, 0:2] of [8, 2]")
                .hasMessageContaining("hint:");
        assertThatThrownBy(() -> prove()).isInstanceOf(RefusedException.class);
    }

    @Test
    void aRowThatTwoRanksHoldUnlikeIsRefused() {
        assertThatThrownBy(() -> prove(rows(0, 0, 5), rows(1, 4, 4)))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("not exactly once");
    }
}
