package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.execute.Progress;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/// Folders of models as transformers, safetensors and torch read them. Runs with `-Pinterop`.
@EnabledIfSystemProperty(
        named = "ucp.interop",
        matches = "true",
        disabledReason = "needs torch: run with -Pinterop")
class ModelFolderInteropTest {
    private static final Path SAMPLES = Path.of("../samples");

    @TempDir Path folder;

    private Path convert(Path source, String as, String to, Map<String, String> options)
            throws IOException {
        Path output = folder.resolve(as);
        Request request =
                new Request(source, Optional.empty(), to, Optional.empty(), Map.of(), options);
        Conversion.run(Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
        return output;
    }

    @ParameterizedTest
    @CsvSource({
        "hf-llama-sharded, safetensors, 4000",
        "hf-llama-sharded, safetensors, 1000000",
        "hf-llama-sharded, torch, 4000",
        "hf-gpt2-tied, safetensors, 20000",
        "hf-llama-bin, torch, 1000000",
        "hf-llama-bin, safetensors, 4000"
    })
    void transformersMakesTheSameModel(String sample, String to, String largest) throws Exception {
        try (TorchRoot root = TorchRoot.open()) {
            Path source = SAMPLES.resolve(sample).resolve("checkpoint");
            Path universal = convert(source, "universal", "universal", Map.of());
            Path model = convert(universal, "model", to, Map.of("max-shard-size", largest));
            assertThat(
                            root.python(
                                    "same_model.py",
                                    root.put(source, "source"),
                                    root.put(model, "model")))
                    .contains("tensors and the logits are equal");
        }
    }

    @Test
    void statesOfAJobLoadInBothForms() throws Exception {
        try (TorchRoot root = TorchRoot.open()) {
            Path source = SAMPLES.resolve("gpt2-zero2-tied-frozen").resolve("checkpoint");
            Map<String, String> all = Map.of("with-optimizer", "true");
            Path safetensors = convert(source, "safetensors", "safetensors", all);
            Path torch = convert(source, "torch", "torch", all);
            assertThat(
                            root.python(
                                    "same_states.py",
                                    root.put(safetensors, "safetensors"),
                                    root.put(torch, "torch")))
                    .contains("64 states are equal");
        }
    }
}
