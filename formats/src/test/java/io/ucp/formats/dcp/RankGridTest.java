package io.ucp.formats.dcp;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.distcp.Place;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;

import java.util.List;
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
