package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.checkpoint.Fragment;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

final class ShardPictureTest {
    private static final Shape SHAPE = Shape.of(2, 4);

    @Test
    void columnsOfTwoRanks() {
        assertThat(drawn(SHAPE, box(0, 0, 2, 2), box(0, 2, 2, 2)))
                .isEqualTo("  AABB\n  AABB\n  2 rows x 4 columns\n");
    }

    @Test
    void flatCutRunsAcrossRows() {
        List<Piece> first = Piece.whole(SHAPE).cut(0, 5);
        List<Piece> second = Piece.whole(SHAPE).cut(5, 8);
        Piece[] all =
                java.util.stream.Stream.concat(first.stream(), second.stream())
                        .toArray(Piece[]::new);
        assertThat(all).hasSize(3);
        assertThat(drawn(SHAPE, all)).startsWith("  AAAA\n  BCCC\n");
    }

    @Test
    void largeParameterIsSampled() {
        Shape shape = Shape.of(1000, 1000);
        assertThat(
                        drawn(
                                shape,
                                Piece.box(shape, new long[] {0, 0}, new long[] {500, 1000}),
                                Piece.box(shape, new long[] {500, 0}, new long[] {500, 1000})))
                .startsWith("  " + "A".repeat(48) + "\n")
                .endsWith("B\n  1000 rows x 1000 columns, sampled\n");
    }

    @Test
    void oneFragmentNeedsNoPicture() {
        assertThat(drawn(SHAPE, Piece.whole(SHAPE))).isEmpty();
    }

    private static Piece box(long row, long column, long rows, long columns) {
        return Piece.box(SHAPE, new long[] {row, column}, new long[] {rows, columns});
    }

    private static String drawn(Shape shape, Piece... pieces) {
        List<Fragment> fragments =
                Arrays.stream(pieces)
                        .map(
                                piece ->
                                        new Fragment(
                                                new PlainFile(Path.of("f"), 0),
                                                0,
                                                DType.FLOAT32,
                                                piece))
                        .toList();
        StringWriter out = new StringWriter();
        new ShardPicture(shape, fragments)
                .print(new PrintWriter(out, true), new Terminal(false, 80, false));
        return out.toString().replace(System.lineSeparator(), "\n");
    }
}
