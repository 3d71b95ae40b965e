package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.TensorEntry;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

final class MeshPictureTest {
    @Test
    void stagesDownwardsTensorRanksAcrossDataRanksInside() {
        assertThat(drawn(new AxisDegree("pp", 2), new AxisDegree("dp", 2), new AxisDegree("tp", 2)))
                .isEqualTo(
                        """
                               tp 0              tp 1
                             +-----------------+-----------------+
                        pp 0 | dp 0        4 B | dp 0        8 B |
                             | dp 1       12 B | dp 1       16 B |
                             +-----------------+-----------------+
                        pp 1 | dp 0       20 B | dp 0       24 B |
                             | dp 1       28 B | dp 1       32 B |
                             +-----------------+-----------------+
                        """);
    }

    @Test
    void dataParallelAlone() {
        assertThat(drawn(new AxisDegree("dp", 2)))
                .isEqualTo(
                        """
                        +-----------------+
                        | dp 0        4 B |
                        | dp 1        8 B |
                        +-----------------+
                        """);
    }

    @Test
    void axesOfOneRankAreLeftOut() {
        assertThat(drawn(new AxisDegree("pp", 1), new AxisDegree("tp", 2)))
                .isEqualTo(
                        """
                          tp 0   tp 1
                        +------+------+
                        | 4 B  | 8 B  |
                        +------+------+
                        """);
    }

    @Test
    void oneRankOrVeryManyHaveNoPicture() {
        assertThat(drawn(new AxisDegree("dp", 1))).isEmpty();
        assertThat(drawn(new AxisDegree("dp", 65))).isEmpty();
    }

    /// Rank `n`, counted with the last axis fastest, holds `n + 1` floats.
    private static String drawn(AxisDegree... mesh) {
        List<Coordinate> ranks = List.of(Coordinate.NONE);
        for (AxisDegree axis : mesh) {
            List<Coordinate> next = new ArrayList<>();
            for (Coordinate rank : ranks) {
                for (int i = 0; i < axis.degree(); i++) {
                    next.add(rank.with(axis.axis(), i));
                }
            }
            ranks = next;
        }
        List<HeldTensor> tensors = new ArrayList<>();
        for (Coordinate rank : ranks) {
            TensorEntry tensor =
                    TensorEntry.dense(
                            new PlainFile(Path.of("f"), 0),
                            0,
                            DType.FLOAT32,
                            Shape.of(tensors.size() + 1));
            tensors.add(new HeldTensor("w", "weight", rank, tensor));
        }
        CheckpointIndex index =
                new CheckpointIndex(
                        "test",
                        Path.of("."),
                        "tag",
                        OptionalLong.empty(),
                        -1,
                        List.of(mesh),
                        tensors,
                        List.of(),
                        List.of(),
                        LayoutHints.NONE,
                        List.of(),
                        new Origin("test", "tag", -1, List.of(mesh), Optional.empty()),
                        List.of());
        StringWriter out = new StringWriter();
        new MeshPicture(index)
                .print(new PrintWriter(out, true), new Terminal(false, 80, false), false);
        return out.toString().replace(System.lineSeparator(), "\n");
    }
}
