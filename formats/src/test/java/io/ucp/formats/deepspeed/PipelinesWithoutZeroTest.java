package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/// Pipelines without ZeRO, whose files list no parameters: the stages follow from how much each
/// optimizer trains.
class PipelinesWithoutZeroTest {
    @TempDir Path temporary;

    private Path from() {
        return temporary.resolve("from");
    }

    private static GeneratedCheckpoint untied(Wrapper wrapper, int pp, int tp, int dp) {
        List<GeneratedParameter> layers =
                GeneratedCheckpoint.pipeline(4, 4, pp).stream()
                        .filter(p -> !p.name().startsWith("tied"))
                        .toList();
        GeneratedCheckpoint made =
                GeneratedCheckpoint.of(layers).degrees(pp, tp, dp).withoutZero(wrapper);
        return wrapper == Wrapper.ZERO ? made.configured() : made;
    }

    private static void assertHoldsEveryState(GeneratedCheckpoint of, CheckpointIndex index)
            throws IOException {
        Set<String> seen = HeldValues.check(of, index);
        for (GeneratedParameter p : of.parameters) {
            assertThat(seen)
                    .contains(
                            p.name() + "/weight", p.name() + "/exp_avg", p.name() + "/exp_avg_sq");
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"ZERO", "FUSED", "UNFUSED"})
    void holdsTheOptimizerOfEveryStage(Wrapper wrapper) throws IOException {
        GeneratedCheckpoint source = untied(wrapper, 2, 2, 2).writeTo(from());

        CheckpointIndex index = Relayout.read(from());

        assertHoldsEveryState(source, index);
        assertThat(index.findings()).noneMatch(f -> f.message().contains("which stage"));
        assertThat(index.tensors())
                .filteredOn(t -> t.name().equals("4.down.weight") && t.state().equals("exp_avg"))
                .extracting(t -> t.at())
                .containsExactlyInAnyOrder(
                        Coordinate.of("pp", 1).with("tp", 0), Coordinate.of("pp", 1).with("tp", 1));
        assertThat(new DeepSpeedFormat().pipeline(index.carried()).stages())
                .containsEntry("3.down.weight", Set.of(0))
                .containsEntry("4.down.weight", Set.of(1))
                .containsEntry("6.weight", Set.of(1));
    }

    @ParameterizedTest
    @CsvSource({"2, 1, 1, 2, 3", "1, 2, 4, 1, 1", "4, 1, 2, 2, 2", "2, 2, 2, 2, 1"})
    void movesItsStages(int pp, int tp, int newPp, int newTp, int newDp) throws IOException {
        GeneratedCheckpoint target = untied(Wrapper.ZERO, newPp, newTp, newDp);

        assertHoldsEveryState(
                target,
                Relayout.assertWrittenAsSaved(untied(Wrapper.ZERO, pp, tp, 2), target, temporary));
    }

    @Test
    void entersZero() throws IOException {
        Relayout.assertWrittenAsSaved(
                untied(Wrapper.ZERO, 2, 1, 2), untied(Wrapper.ZERO, 4, 2, 3).stage(1), temporary);
    }
}
