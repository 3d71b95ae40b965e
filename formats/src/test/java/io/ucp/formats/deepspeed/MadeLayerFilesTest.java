package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.RefusedException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// Pipelines of a source without layer files, as DeepSpeed's universal form is.
class MadeLayerFilesTest {
    @TempDir Path temporary;

    private static GeneratedCheckpoint pipeline(int pp, int tp, int dp) {
        return GeneratedCheckpoint.of(GeneratedCheckpoint.pipeline(4, 4, pp))
                .configured()
                .degrees(pp, tp, dp);
    }

    private Relayout from(GeneratedCheckpoint source, GeneratedCheckpoint target)
            throws IOException {
        Path folder = temporary.resolve("from");
        return new Relayout(source.writeTo(folder), folder, target);
    }

    @ParameterizedTest
    @CsvSource({"1, 2, 3", "4, 2, 1", "2, 2, 1", "2, 4, 2"})
    void layersAreMadeOfTheNamesOfTheirParameters(int pp, int tp, int dp) throws IOException {
        Relayout all = from(pipeline(2, 2, 2), pipeline(pp, tp, dp));
        all.write(temporary.resolve("all"));

        all.withoutLayerFiles().write(temporary.resolve("made"));

        assertThat(Leaves.of(temporary.resolve("made")))
                .isEqualTo(Leaves.of(temporary.resolve("all")));
        assertThat(all.tree(Map.of()).notes())
                .anyMatch(n -> n.startsWith("layer files are made of the names"));
    }

    @Test
    void modulesThatLayersShareInAnotherPlaceThanTheEmbeddingsAreRefused() throws IOException {
        List<GeneratedParameter> moved = new ArrayList<>();
        for (GeneratedParameter p : GeneratedCheckpoint.pipeline(4, 4, 2)) {
            String[] parts = p.name().split("\\.", 2);
            moved.add(
                    parts[0].equals("tied_modules")
                            ? p
                            : new GeneratedParameter(
                                    Integer.parseInt(parts[0]) + 1 + "." + parts[1],
                                    p.shape(),
                                    p.cut(),
                                    p.stages(),
                                    p.group(),
                                    p.role(),
                                    p.layer(),
                                    p.experts()));
        }
        GeneratedCheckpoint source = GeneratedCheckpoint.of(moved).configured().degrees(2, 1, 1);
        Relayout same = from(source, source).withoutLayerFiles();

        assertThatThrownBy(() -> same.tree(Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("tied_modules.embed")
                .hasMessageContaining("layers with numbers begin with 3");
    }

    @Test
    void buffersOfLayersAreNowhereElse() throws IOException {
        GeneratedCheckpoint source =
                pipeline(2, 1, 1)
                        .editing(
                                (_, root) ->
                                        root.has("buffer_names")
                                                ? root.with(
                                                        "buffer_names",
                                                        TorchTree.of(List.of("3.rotary.inv_freq")))
                                                : root);
        Relayout same = from(source, source).withoutLayerFiles();

        assertThatThrownBy(() -> same.tree(Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("3.rotary.inv_freq")
                .hasMessageContaining("leaves out");
    }
}
