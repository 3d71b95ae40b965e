package io.ucp.formats.deepspeed.writing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.Coordinate;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile.Part;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Map;

/// Groups of experts as large as those of real models, of which no byte exists: their elements and
/// bytes are counted past what 31 bits hold.
class LargeExpertsTest {
    /// `w1` of Mixtral 8x22B: 805,306,368 elements, more than a group may have.
    private static final Shape FUSED = Shape.of(8, 16384, 6144);

    private static Held held(String name, Shape shape) {
        ParameterFacts facts =
                new ParameterFacts(
                        name,
                        shape,
                        shape,
                        Map.of("fp32", DType.FLOAT32),
                        Map.of(),
                        ParameterFacts.Split.UNKNOWN,
                        true,
                        false,
                        1,
                        List.of(),
                        Map.of(),
                        List.of());
        Piece whole = Piece.box(shape, new long[shape.rank()], shape.dims());
        return new Held(
                facts,
                new RankShard(name, Coordinate.of("ep", 0), shape, List.of(whole), shape.count()));
    }

    private static List<List<Long>> split(Long... counts) {
        return ExpertSplit.of(List.of(counts), Long::longValue);
    }

    @Test
    void aGroupEndsWithTheLastThatFits() {
        long most = ExpertSplit.MOST;
        assertThat(split(most - 1, 1L, 1L)).containsExactly(List.of(most - 1, 1L), List.of(1L));
        assertThat(split(1L, most)).containsExactly(List.of(1L), List.of(most));
    }

    /// As upstream, which closes a group before a parameter that does not fit, be it empty.
    @Test
    void whatIsLargerThanAGroupIsOneByItself() {
        long large = FUSED.count();
        assertThat(split(1L, large, large, 1L))
                .containsExactly(List.of(1L), List.of(large), List.of(large), List.of(1L));
        long wide = 1L << 40;
        assertThat(split(wide, 1L)).containsExactly(List.of(), List.of(wide), List.of(1L));
        assertThat(split()).isEmpty();
    }

    @Test
    void aGroupThatWouldBeginEmptyIsRefusedWithTheWayToSmallerParts() {
        List<Held> small = List.of(held("b", one()), held("w1", FUSED));
        assertThat(ExpertGroups.split(small)).extracting(List::size).containsExactly(1, 1);
        assertThatThrownBy(() -> ExpertGroups.split(small.reversed()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("w1: 805,306,368 elements of experts on a rank")
                .hasMessageContaining("178,956,971 or fewer")
                .hasMessageContaining("--ep");
    }

    @Test
    void partsOfRanksTileMoreThanAnIntCounts() {
        List<Held> members =
                List.of(held("w1", FUSED), held("w2", FUSED), held("w3", FUSED), held("b", one()));
        long count = 3 * FUSED.count() + 1;
        for (int dp : List.of(1, 2, 3, 8)) {
            FlatParts parts = FlatParts.endToEnd(members, dp);
            assertThat(parts.extent()).isEqualTo(Math.ceilDiv(count, 2L * dp) * 2);
            long held = 0;
            for (int rank = 0; rank < dp; rank++) {
                long at = 0;
                for (FlatParts.Slice slice : parts.ranks().get(rank)) {
                    assertThat(slice.start()).isEqualTo(at);
                    at += slice.to() - slice.from();
                }
                assertThat(parts.real(rank)).isEqualTo(at);
                held += at;
            }
            assertThat(held).isEqualTo(count);
        }
    }

    private static Shape one() {
        return Shape.of(1);
    }

    @Test
    void bytesOfALargeGroupLieWhereTheirElementsDo() {
        FlatParts parts =
                FlatParts.endToEnd(
                        List.of(held("w1", FUSED), held("w2", FUSED), held("w3", FUSED)), 1);
        assertThat(parts.parts(0, "fp32", DType.FLOAT32))
                .extracting(Part::offset)
                .containsExactly(0L, 4 * FUSED.count(), 8 * FUSED.count());
        assertThat(8 * FUSED.count()).isGreaterThan(Integer.MAX_VALUE);
        assertThat(parts.parts(0, "fp32", DType.FLOAT32))
                .extracting(Part::size)
                .containsOnly(4 * FUSED.count());
    }

    @Test
    void subGroupsOfStageThreeAreFullByTheirParts() {
        List<Held> members =
                List.of(held("w1", FUSED), held("w2", FUSED), held("w3", FUSED), held("b", one()));
        assertThat(FlatParts.subGroups(members, 2, 1_000_000_000L))
                .extracting(List::size)
                .containsExactly(3, 1);
        assertThat(FlatParts.each(members, 2).extent()).isEqualTo(3 * FUSED.count() / 2 + 1);
    }
}
