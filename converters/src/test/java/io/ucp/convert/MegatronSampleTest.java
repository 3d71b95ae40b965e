package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.execute.Progress;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/// One state that Megatron-LM saved in both of its formats (`src/test/python/megatron_makes.py`).
class MegatronSampleTest {
    private static final Path SAMPLES = Path.of("../samples");

    private static Described describe(String sample) throws IOException {
        return Described.of(
                SAMPLES.resolve(sample).resolve("checkpoint"),
                Optional.empty(),
                Optional.empty(),
                Map.of());
    }

    @Test
    void bothFormatsAreTheSameState() throws IOException {
        Verification.Verdict same =
                Verification.compare(
                        describe("megatron-llama"),
                        describe("megatron-dist-llama"),
                        RunOptions.standard(),
                        Progress.NONE);

        assertThat(same.differences()).isEmpty();
        assertThat(same.states()).isEqualTo(15 * 4);
    }
}
