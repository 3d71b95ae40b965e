package io.ucp.formats.dcp;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.distcp.Place;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

class RankGridTest {
    private static OfTensor tensor(Shape shape, List<Chunk> chunks) {
        Place place = new Place("__0_0.distcp", 0, 1);
        return new OfTensor(
                DType.FLOAT32,
                shape,
                false,
                chunks.stream().distinct().map(chunk -> new Stored(chunk, place)).toList());
    }

    @Test
    void cutsRowsAsTorchChunkDoes() {
        assertThat(new RankGrid(4, 1).chunks(Shape.of(517, 48), RankGrid.UNCUT))
                .hasToString(
                        "[[0, 0] + [130, 48], [130, 0] + [130, 48], [260, 0] + [130, 48],"
                                + " [390, 0] + [127, 48]]");
    }

    @Test
    void ranksBehindTheLastRowHaveNothing() {
        assertThat(new RankGrid(4, 1).chunks(Shape.of(5), RankGrid.UNCUT))
                .hasToString("[[0] + [2], [2] + [2], [4] + [1], [5] + [0]]");
    }

    @Test
    void cutsForTensorParallelismFirst() {
        assertThat(new RankGrid(2, 2).chunks(Shape.of(106, 48), 0))
                .hasToString(
                        "[[0, 0] + [27, 48], [53, 0] + [27, 48], [27, 0] + [26, 48], [80, 0] + [26,"
                                + " 48]]");
        assertThat(new RankGrid(2, 2).chunks(Shape.of(48, 106), 1))
                .hasToString(
                        "[[0, 0] + [24, 53], [0, 53] + [24, 53], [24, 0] + [24, 53], [24, 53] +"
                                + " [24, 53]]");
    }

    @Test
    void scalarsAreWhole() {
        assertThat(new RankGrid(2, 1).chunks(Shape.of(), RankGrid.UNCUT))
                .allMatch(Chunk.whole(Shape.of())::equals);
    }

    @Test
    void findsTheGridThatExplainsAllTensors() {
        for (RankGrid grid :
                List.of(
                        new RankGrid(1, 1),
                        new RankGrid(3, 1),
                        new RankGrid(2, 2),
                        new RankGrid(4, 2))) {
            List<OfTensor> tensors =
                    Stream.of(
                                    tensor(Shape.of(106, 48), grid.chunks(Shape.of(106, 48), 0)),
                                    tensor(Shape.of(48, 106), grid.chunks(Shape.of(48, 106), 1)),
                                    tensor(Shape.of(48), grid.chunks(Shape.of(48), RankGrid.UNCUT)))
                            .filter(
                                    tensor ->
                                            grid.tp() > 1
                                                    || tensor.shape().dim(0) != 48
                                                    || tensor.shape().rank() == 1)
                            .toList();
            assertThat(RankGrid.of(tensors, grid.ranks())).isEqualTo(grid);
            assertThat(tensors).allMatch(grid::explains);
        }
    }

    @Test
    void replicasOfTheShardsLeaveMoreRanks() {
        OfTensor tensor = tensor(Shape.of(10), new RankGrid(2, 1).chunks(Shape.of(10), -1));
        assertThat(RankGrid.of(List.of(tensor), 6)).isEqualTo(new RankGrid(2, 1));
    }

    @Test
    void aNameOfAFileMaySayAnyNumberOfRanks() {
        int ranks = 10_000_000;
        OfTensor one = tensor(Shape.of(10), new RankGrid(2, 1).chunks(Shape.of(10), -1));
        assertThat(RankGrid.of(List.of(one), ranks)).isEqualTo(new RankGrid(2, 1));
        OfTensor odd =
                tensor(
                        Shape.of(10),
                        List.of(
                                Chunk.of(new long[] {0}, new long[] {9}),
                                Chunk.of(new long[] {9}, new long[] {1})));
        assertThat(RankGrid.of(List.of(odd), ranks).explains(odd)).isFalse();
        OfTensor empty =
                tensor(
                        Shape.of(1L << 40, 0),
                        List.of(
                                Chunk.of(new long[] {0, 0}, new long[] {9, 0}),
                                Chunk.of(new long[] {9, 0}, new long[] {1, 0})));
        assertThat(RankGrid.of(List.of(odd, empty), ranks).explains(empty)).isFalse();
    }

    /// What is not tried would not have been found either.
    @Test
    void findsWhatTryingAllGridsFinds() {
        Random random = new Random(1);
        for (int round = 0; round < 2000; round++) {
            RankGrid grid = new RankGrid(1 + random.nextInt(6), 1 + random.nextInt(4));
            List<OfTensor> tensors = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                Shape shape = Shape.of(1 + random.nextInt(20), 1 + random.nextInt(9));
                tensors.add(tensor(shape, grid.chunks(shape, random.nextInt(4) - 1 > 1 ? 1 : -1)));
                tensors.add(tensor(shape, grid.chunks(shape, random.nextInt(2))));
            }
            int ranks = grid.ranks() + random.nextInt(30);
            assertThat(RankGrid.of(tensors, ranks))
                    .as("%s of %d ranks, %s", grid, ranks, tensors)
                    .isEqualTo(tryingAll(tensors, ranks));
        }
    }

    private static RankGrid tryingAll(List<OfTensor> tensors, int ranks) {
        List<OfTensor> cut = tensors.stream().filter(t -> t.chunks().size() > 1).toList();
        if (cut.isEmpty()) {
            return new RankGrid(1, 1);
        }
        for (int tp = 1; tp <= ranks; tp++) {
            for (int dp = ranks / tp; dp >= 1; dp--) {
                RankGrid grid = new RankGrid(dp, tp);
                if (cut.stream().allMatch(t -> isOf(grid, t))) {
                    return grid;
                }
            }
        }
        return new RankGrid(ranks, 1);
    }

    private static boolean isOf(RankGrid grid, OfTensor tensor) {
        Set<Chunk> held = filled(tensor.chunks().stream().map(Stored::chunk));
        return IntStream.range(-1, grid.tp() > 1 ? tensor.shape().rank() : 0)
                .anyMatch(d -> filled(grid.chunks(tensor.shape(), d).stream()).equals(held));
    }

    private static Set<Chunk> filled(Stream<Chunk> chunks) {
        return chunks.filter(c -> c.extent().count() > 0).collect(Collectors.toSet());
    }

    @Test
    void chunksOfNoMeshAreLeftUnexplained() {
        OfTensor tensor =
                tensor(
                        Shape.of(10),
                        List.of(
                                Chunk.of(new long[] {0}, new long[] {9}),
                                Chunk.of(new long[] {9}, new long[] {1})));
        assertThat(RankGrid.of(List.of(tensor), 2).explains(tensor)).isFalse();
    }
}
