package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.bind.TargetRequest;
import io.ucp.formats.RefusedException;
import io.ucp.formats.deepspeed.GeneratedCheckpoint;
import io.ucp.formats.deepspeed.GeneratedCheckpoint.Wrapper;
import io.ucp.formats.deepspeed.Leaves;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/// A job without ZeRO in DeepSpeed's universal form, which upstream's converter does not make, and
/// back in a job.
class UniversalWithoutZeroTest {
    private static final String UNIVERSAL = "deepspeed-universal";

    @TempDir Path folder;

    private static Request request(Path source, String to, Optional<TargetRequest> job) {
        return Conversions.request(source, to, Optional.empty(), job);
    }

    private Path run(Path source, String to, Optional<TargetRequest> job, String name)
            throws IOException {
        return Conversions.run(request(source, to, job), folder.resolve(name));
    }

    private Path source(Wrapper wrapper, int tp) throws IOException {
        Path source = folder.resolve("source");
        GeneratedCheckpoint.of(GeneratedCheckpoint.transformer(2, 2))
                .configured()
                .patterns()
                .degrees(1, tp, 2)
                .withoutZero(wrapper)
                .writeTo(source);
        return source;
    }

    @ParameterizedTest
    @CsvSource({"ZERO, 0", "FUSED, 0", "UNFUSED, 0", "FUSED, 1", "ZERO, 3"})
    void aJobIsMadeOfItAsOfTheSource(Wrapper wrapper, int stage) throws IOException {
        Path source = source(wrapper, 1);
        Optional<TargetRequest> job = Optional.of(TargetRequest.SAME.withDp(3).withStage(stage));
        Path direct = run(source, "deepspeed", job, "direct");
        Path universal = run(source, UNIVERSAL, Optional.empty(), "universal");

        Path made = run(universal, "deepspeed", job, "made");

        assertThat(Leaves.of(made)).isEqualTo(Leaves.of(direct));
    }

    /// Each rank's groups are of its own parts, and no file says which.
    @Test
    void groupsOfSeveralRanksAreToldAsLostAtOnce() throws IOException {
        Path source = source(Wrapper.FUSED, 2);
        Prepared prepared = Conversion.prepare(request(source, UNIVERSAL, Optional.empty()));
        assertThat(prepared.tree().losses())
                .anyMatch(line -> line.startsWith("which parameters each optimizer group has: "));

        Path universal = run(source, UNIVERSAL, Optional.empty(), "universal");
        assertThatThrownBy(
                        () ->
                                Conversion.prepare(
                                        request(
                                                universal,
                                                "deepspeed",
                                                Optional.of(TargetRequest.SAME))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("it is trained and has no optimizer group");
    }
}
