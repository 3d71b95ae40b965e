package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.bind.ModelFamilies;
import io.ucp.convert.FamilyWays.Stop;
import io.ucp.formats.ParameterFacts;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/// A folder of a model by way of the frameworks' own formats (Megatron-LM, DeepSpeed, torch) is the
/// same bytes again, of every bundled family.
class FamilyChainTest {
    @TempDir private Path folder;

    static Stream<Arguments> ways() {
        return ModelFamilies.names("").stream()
                .flatMap(
                        family ->
                                FamilyWays.of(family).stream()
                                        .map(way -> Arguments.of(family, way)));
    }

    @ParameterizedTest
    @MethodSource("ways")
    void aModelIsTheSameBytesAfterEveryWay(String family, List<Stop> way) throws IOException {
        Path model = FamilyModel.read(family).write(folder.resolve("model"));
        Path back = FamilyWays.go(model, way, folder);
        for (String file : List.of("model.safetensors", "config.json")) {
            assertThat(back.resolve(file)).hasSameBinaryContentAs(model.resolve(file));
        }
    }

    /// LLaVA 1.5 is published without the numbers that the classes of its parts have anyway: 32
    /// heads of the language model among them.
    @Test
    void whatAPublishedConfigurationLeavesOutIsWhatItsClassesHave() throws IOException {
        String family = "megatron_core_llava_hf";
        FamilyModel small = FamilyModel.read(family);
        List<ParameterFacts> parameters =
                small.parameters().stream()
                        .map(p -> p.name().startsWith("vision_") ? p : wide(p))
                        .toList();
        Path model = new FamilyModel(small.numbers(), parameters).write(folder.resolve("model"));
        Files.writeString(
                model.resolve("config.json"),
                """
                {
                  "architectures": ["LlavaForConditionalGeneration"],
                  "ignore_index": -100,
                  "image_token_index": 32000,
                  "model_type": "llava",
                  "projector_hidden_act": "gelu",
                  "text_config": {
                    "architectures": ["LlamaForCausalLM"],
                    "hidden_size": 64,
                    "max_position_embeddings": 4096,
                    "model_type": "llama",
                    "rms_norm_eps": 1e-05,
                    "torch_dtype": "float32",
                    "intermediate_size": 20,
                    "num_hidden_layers": 2,
                    "vocab_size": 131
                  },
                  "tie_word_embeddings": false,
                  "torch_dtype": "float32",
                  "vision_config": {
                    "hidden_size": 10,
                    "image_size": 8,
                    "intermediate_size": 14,
                    "model_type": "clip_vision_model",
                    "num_attention_heads": 2,
                    "num_hidden_layers": 3,
                    "patch_size": 2,
                    "projection_dim": 768
                  }
                }
                """);
        Path back = FamilyWays.go(model, FamilyWays.of(family).getFirst(), folder);
        assertThat(back.resolve("model.safetensors"))
                .hasSameBinaryContentAs(model.resolve("model.safetensors"));
    }

    /// With room for 32 heads of two each.
    private static ParameterFacts wide(ParameterFacts p) {
        long[] dims =
                Arrays.stream(p.shape().dims())
                        .map(dim -> Set.of(12L, 16L, 24L).contains(dim) ? 64 : dim)
                        .toArray();
        Shape shape = Shape.of(dims);
        return new ParameterFacts(
                p.name(),
                shape,
                shape,
                p.states(),
                p.scalars(),
                p.split(),
                p.trainable(),
                p.buffer(),
                p.optimizerGroup(),
                p.aliases(),
                p.digests(),
                p.notes());
    }
}
