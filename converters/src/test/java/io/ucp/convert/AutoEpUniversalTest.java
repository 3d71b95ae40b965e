package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.bind.TargetRequest;
import io.ucp.execute.Progress;
import io.ucp.formats.RefusedException;
import io.ucp.formats.deepspeed.GeneratedCheckpoint;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/// Experts of AutoEP and DeepSpeed's universal form: the way that the refusal names.
class AutoEpUniversalTest {
    @TempDir Path folder;

    private static Request request(Path source, String to, Optional<TargetRequest> job) {
        return new Request(
                source,
                Optional.empty(),
                to,
                Optional.empty(),
                Map.of(),
                Map.of(),
                Optional.empty(),
                Names.AUTO,
                job);
    }

    private Path run(Request request, String name) throws IOException {
        Path output = folder.resolve(name);
        Conversion.run(Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
        return output;
    }

    @Test
    void onOneExpertParallelRankExpertsHaveTheUniversalForm() throws IOException {
        Path source = folder.resolve("source");
        GeneratedCheckpoint.of(GeneratedCheckpoint.fusedMixture())
                .configured()
                .degrees(1, 1, 4)
                .expertRanks(2)
                .stage(2)
                .writeTo(source);

        assertThatThrownBy(
                        () ->
                                Conversion.prepare(
                                        request(source, "deepspeed-universal", Optional.empty())))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("--to deepspeed --ep 1");

        Path one =
                run(request(source, "deepspeed", Optional.of(TargetRequest.SAME.withEp(1))), "one");
        Path universal = run(request(one, "deepspeed-universal", Optional.empty()), "universal");
        assertThat(universal).isNotEmptyDirectory();
    }
}
