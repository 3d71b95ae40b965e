package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.convert.FamilyWays.Stop;

import org.assertj.core.api.SoftAssertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// Small models that transformers makes and saves, of every bundled family: to the ranks of
/// frameworks and back they are the same bytes, and the same logits to transformers. Runs with
/// `-Pinterop`.
@EnabledIfSystemProperty(
        named = "ucp.interop",
        matches = "true",
        disabledReason = "needs torch: run with -Pinterop")
class FamilyInteropTest {
    @TempDir Path folder;

    /// The families that a model of `family_models.py` has rules of.
    private static List<String> families(String model) {
        String kind = model.replaceAll("-(groups|one-norm)$", "");
        return switch (kind) {
            case "llama" ->
                    List.of("megatron_core_llama_hf", "megatron_deepspeed_llama", "meta_llama");
            // Megatron-DeepSpeed's has neither groups nor a tied head.
            case "llama-grouped", "llama-tied" -> List.of("megatron_core_llama_hf", "meta_llama");
            case "mistral", "qwen2", "qwen3" -> List.of("megatron_core_llama_hf");
            case "gpt2" -> List.of("megatron_core_gpt2_hf", "megatron_deepspeed_gpt");
            case "bloom" -> List.of("megatron_deepspeed_bloom");
            case "gpt-neox" -> List.of("gpt_neox");
            // Megatron-LM has no place for norms of each head, nor for biases beside ALiBi.
            case "stablelm-parallel", "falcon-alibi" -> List.of();
            case "llava", "llava-onevision" ->
                    List.of("megatron_core_%s_hf_transformers5".formatted(kind.replace('-', '_')));
            default ->
                    List.of(
                            "megatron_core_%s_hf"
                                            .formatted(kind.replace(".now", "").replace('-', '_'))
                                    + (kind.endsWith(".now") ? "_in_memory" : ""));
        };
    }

    private static List<Path> models(Path made) throws IOException {
        try (Stream<Path> entries = Files.list(made)) {
            return entries.sorted().toList();
        }
    }

    @Test
    void aModelOfEveryFamilyIsTheSameAfterEveryWay() throws Exception {
        try (TorchRoot root = TorchRoot.open()) {
            Path made = root.scratch("models");
            root.python("family_models.py", root.seen(made));
            List<String> pairs = new ArrayList<>();
            SoftAssertions all = new SoftAssertions();
            for (Path model : models(made)) {
                String name = model.getFileName().toString();
                for (String family : families(name)) {
                    for (List<Stop> way : FamilyWays.of(family)) {
                        all.assertThatCode(() -> pairs.addAll(compared(root, model, way)))
                                .as("%s by %s", name, way)
                                .doesNotThrowAnyException();
                    }
                }
            }
            String said = root.python("same_model.py", pairs.toArray(String[]::new));
            assertThat(said.lines().filter(l -> l.endsWith("tensors and the logits are equal")))
                    .hasSize(pairs.size() / 2);
            all.assertAll();
        }
    }

    /// The model and what came back, as the root sees them.
    private List<String> compared(TorchRoot root, Path model, List<Stop> way) throws IOException {
        Path work = Files.createTempDirectory(folder, "way");
        Path back = FamilyWays.go(model, way, work);
        assertThat(back.resolve("model.safetensors"))
                .hasSameBinaryContentAs(model.resolve("model.safetensors"));
        return List.of(root.seen(model), root.put(back, work.getFileName().toString()));
    }
}
