package io.ucp.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/// A piece is judged by the set of (parameter index, local position) pairs that it stands for.
class PieceTest {
    @Test
    void aFlatRangeOfAMatrixIsAtMostThreePieces() {
        List<Piece> cut = Piece.whole(Shape.of(5, 4)).cut(3, 14);
        assertThat(cut).hasSize(3);
        Map<Long, Long> pairs = new HashMap<>();
        cut.forEach(p -> pairs.putAll(pairs(p)));
        assertThat(pairs).hasSize(11);
        pairs.forEach((index, local) -> assertThat(local).isEqualTo(index - 3));
    }

    @Test
    void aBoxOutsideItsGridIsRefused() {
        assertThatThrownBy(() -> Piece.box(Shape.of(4), new long[] {3}, new long[] {2}))
                .hasMessageContaining("is not in [4]");
    }

    @Test
    void gridsThatDoNotNestAreRefused() {
        assertThatThrownBy(() -> Piece.commonGrid(new long[] {6, 4}, new long[] {4, 6}))
                .hasMessageContaining("do not nest");
        assertThat(Piece.commonGrid(new long[] {24}, new long[] {2, 3, 4}))
                .containsExactly(2, 3, 4);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void cutsTileTheLocalOrderAndKeepEveryPair(long seed) {
        Random random = new Random(seed);
        for (int round = 0; round < 200; round++) {
            Piece piece = randomPiece(random, new long[] {3, 4, 5});
            Map<Long, Long> all = pairs(piece);
            long end = all.values().stream().mapToLong(v -> v + 1).max().orElse(0);
            long middle = end == 0 ? 0 : random.nextLong(end + 1);
            Map<Long, Long> joined = new HashMap<>();
            piece.cut(0, middle).forEach(p -> joined.putAll(pairs(p)));
            piece.cut(middle, end).forEach(p -> pairs(p.moved(middle)).forEach(joined::put));
            assertThat(joined).isEqualTo(all);
            assertThat(
                            piece.cut(0, middle).stream().mapToLong(Piece::count).sum()
                                    + piece.cut(middle, end).stream().mapToLong(Piece::count).sum())
                    .isEqualTo(piece.count());
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {11, 12, 13, 14, 15, 16})
    void anIntersectionMovesExactlyTheSharedElements(long seed) {
        Random random = new Random(seed);
        long[][] grids = {{60}, {12, 5}, {3, 20}, {3, 4, 5}, {1, 60, 1}};
        for (int round = 0; round < 200; round++) {
            Piece a = randomPiece(random, grids[random.nextInt(grids.length)]);
            Piece b = randomPiece(random, grids[random.nextInt(grids.length)]);
            Map<Long, Long> expected = new HashMap<>();
            Map<Long, Long> ofB = pairs(b);
            pairs(a).forEach(
                            (i, from) -> {
                                if (ofB.containsKey(i)) {
                                    expected.put(from, ofB.get(i));
                                }
                            });
            Map<Long, Long> moved = new HashMap<>();
            for (Transfer t : a.intersect(b)) {
                assertThat(moves(t)).allSatisfy((f, to) -> assertThat(moved.put(f, to)).isNull());
                assertThat(moves(t.reversed())).hasSize((int) t.count());
            }
            assertThat(moved).isEqualTo(expected);
        }
    }

    @Test
    void aWholeTensorMovesAsOneRun() {
        Shape shape = Shape.of(7, 3, 2);
        assertThat(Piece.whole(shape).intersect(Piece.whole(shape)))
                .singleElement()
                .satisfies(t -> assertThat(t.runExtent()).isEqualTo(42));
    }

    @Test
    void aTransposedLocalTensorIsFollowed() {
        Shape local = Shape.of(4, 3);
        Piece lying = Piece.whole(local).lying(local, new long[] {1, 4});
        assertThat(pairs(lying)).containsEntry(1L, 4L).containsEntry(3L, 1L).hasSize(12);
    }

    private static Piece randomPiece(Random random, long[] grid) {
        long[] start = new long[grid.length];
        long[] extent = new long[grid.length];
        for (int d = 0; d < grid.length; d++) {
            start[d] = random.nextLong(grid[d]);
            extent[d] = 1 + random.nextLong(grid[d] - start[d]);
        }
        long[] strides = Shape.of(extent).strides();
        long gap = random.nextInt(3);
        for (int d = 0; d < grid.length - 1; d++) {
            strides[d] *= 1 + gap;
        }
        return Piece.of(grid, start, extent, random.nextInt(4), strides);
    }

    /// parameter index -> local position
    private static Map<Long, Long> pairs(Piece p) {
        Map<Long, Long> out = new HashMap<>();
        long[] strides = Shape.of(p.grid()).strides();
        long[] e = p.extent();
        long[] i = new long[e.length];
        for (long n = 0; n < p.count(); n++) {
            long index = 0;
            long local = p.localOffset();
            for (int d = 0; d < e.length; d++) {
                index += (p.start()[d] + i[d]) * strides[d];
                local += i[d] * p.localStride()[d];
            }
            assertThat(out.put(index, local)).as("%s", p).isNull();
            step(i, e);
        }
        return out;
    }

    private static Map<Long, Long> moves(Transfer t) {
        Map<Long, Long> out = new HashMap<>();
        long[] e = new long[t.rank()];
        Arrays.setAll(e, t::extent);
        long[] i = new long[t.rank()];
        for (long n = 0; n < t.count(); n++) {
            long from = t.from();
            long to = t.to();
            for (int d = 0; d < e.length; d++) {
                from += i[d] * t.fromStride(d);
                to += i[d] * t.toStride(d);
            }
            out.put(from, to);
            step(i, e);
        }
        return out;
    }

    private static void step(long[] i, long[] e) {
        for (int d = e.length - 1; d >= 0; d--) {
            if (++i[d] < e[d]) {
                return;
            }
            i[d] = 0;
        }
    }
}
