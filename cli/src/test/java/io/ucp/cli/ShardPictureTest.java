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
import java.util.ArrayList;
import java.util.List;

final class ShardPictureTest {
    private static final Shape SHAPE = Shape.of(2, 4);

    @Test
    void columnsOfTwoRanks() {
        assertThat(drawn(SHAPE, List.of(box(0, 0, 2, 2)), List.of(box(0, 2, 2, 2))))
                .isEqualTo("  AABB\n  AABB\n  2 rows x 4 columns\n");
    }

    @Test
    void flatCutRunsAcrossRows() {
        Piece whole = Piece.whole(SHAPE);
        assertThat(drawn(SHAPE, whole.cut(0, 5), whole.cut(5, 8))).startsWith("  AAAA\n  ABBB\n");
    }

    @Test
    void largeParameterIsSampled() {
        Shape shape = Shape.of(1000, 1000);
        Piece whole = Piece.whole(shape);
        assertThat(drawn(shape, whole.cut(0, 500_000), whole.cut(500_000, 1_000_000)))
                .startsWith("  " + "A".repeat(48) + "\n")
                .endsWith("B\n  1000 rows x 1000 columns, sampled\n");
    }

    @Test
    void oneFragmentNeedsNoPicture() {
        assertThat(drawn(SHAPE, List.of(Piece.whole(SHAPE)))).isEmpty();
    }

    private static Piece box(long row, long column, long rows, long columns) {
        return Piece.box(SHAPE, new long[] {row, column}, new long[] {rows, columns});
    }

    /// Every rank's pieces in a file of its own.
    @SafeVarargs
    private static String drawn(Shape shape, List<Piece>... ranks) {
        List<Fragment> fragments = new ArrayList<>();
        for (int r = 0; r < ranks.length; r++) {
            PlainFile file = new PlainFile(Path.of("rank" + r), 0);
            for (Piece piece : ranks[r]) {
                fragments.add(new Fragment(file, 0, DType.FLOAT32, piece));
            }
        }
        StringWriter out = new StringWriter();
        new ShardPicture(shape, fragments)
                .print(new PrintWriter(out, true), new Terminal(false, 80, false));
        return out.toString().replace(System.lineSeparator(), "\n");
    }
}
