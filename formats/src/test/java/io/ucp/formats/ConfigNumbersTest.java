package io.ucp.formats;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;

import org.junit.jupiter.api.Test;

import java.util.Map;

class ConfigNumbersTest {
    private static Map<String, Long> numbers(String config) throws JsonProcessingException {
        return ConfigNumbers.of(new ObjectMapper().readTree(config));
    }

    private static final String TOWER =
            """
            {"hidden_size": 1024, "image_size": 336, "intermediate_size": 4096,
             "model_type": "clip_vision_model", "num_attention_heads": 16,
             "num_hidden_layers": 24, "patch_size": 14, "projection_dim": 768,
             "vocab_size": 32000}\
            """;

    private static String llava(String text) {
        return """
        {"architectures": ["LlavaForConditionalGeneration"], "ignore_index": -100,
         "image_token_index": 32000, "model_type": "llava", "pad_token_id": 32001,
         "projector_hidden_act": "gelu", "text_config": %s, "tie_word_embeddings": false,
         "torch_dtype": "float16", "vision_config": %s, "vision_feature_layer": -2,
         "vision_feature_select_strategy": "default", "vocab_size": 32064}\
        """
                .formatted(text, TOWER);
    }

    /// As LLaVA 1.5 7B is published: sizes and heads are those of LLaMA's class.
    @Test
    void whatIsLeftOutIsWhatTheClassHas() throws JsonProcessingException {
        assertThat(
                        numbers(
                                llava(
                                        """
                                        {"architectures": ["LlamaForCausalLM"],
                                         "max_position_embeddings": 4096, "model_type": "llama",
                                         "rms_norm_eps": 1e-05, "torch_dtype": "float16",
                                         "vocab_size": 32064}\
                                        """)))
                .containsEntry("heads", 32L)
                .containsEntry("kv_heads", 32L)
                .containsEntry("head_dim", 128L)
                .containsEntry("hidden", 4096L)
                .containsEntry("ffn", 11_008L)
                .containsEntry("layers", 32L)
                .containsEntry("vocab", 32_064L)
                .containsEntry("positions", 4096L)
                .containsEntry("vision_heads", 16L)
                .containsEntry("vision_head_dim", 64L);
    }

    /// As LLaVA 1.5 13B is.
    @Test
    void whatIsSaidComesBeforeTheClass() throws JsonProcessingException {
        assertThat(
                        numbers(
                                llava(
                                        """
                                        {"hidden_size": 5120, "intermediate_size": 13824,
                                         "max_position_embeddings": 4096, "model_type": "llama",
                                         "num_attention_heads": 40, "num_hidden_layers": 40,
                                         "num_key_value_heads": 40, "vocab_size": 32064}\
                                        """)))
                .containsEntry("heads", 40L)
                .containsEntry("head_dim", 128L)
                .containsEntry("layers", 40L)
                .containsEntry("ffn", 13_824L);
    }

    @Test
    void thePartsOfAModelHaveClassesOfTheirOwn() throws JsonProcessingException {
        assertThat(
                        numbers(
                                """
                                {"model_type": "llava", "text_config": {}, "vision_config": {}}\
                                """))
                .containsEntry("heads", 32L)
                .containsEntry("vision_heads", 12L);
        assertThat(
                        numbers(
                                """
                                {"model_type": "llava_onevision", "text_config": {"hidden_size": 896},
                                 "vision_config": {}}\
                                """))
                .containsEntry("ffn", 22_016L)
                .containsEntry("head_dim", 28L);
    }

    @Test
    void keysOfNullAreSaid() throws JsonProcessingException {
        assertThat(
                        numbers(
                                """
                                {"model_type": "mistral", "num_key_value_heads": null}\
                                """))
                .containsEntry("kv_heads", 32L);
        assertThat(numbers("{\"model_type\": \"mistral\"}")).containsEntry("kv_heads", 8L);
    }

    @Test
    void withoutAClassNothingIsTaken() throws JsonProcessingException {
        assertThat(numbers("{\"hidden_size\": 64}")).containsOnlyKeys("hidden");
        assertThat(numbers("{\"model_type\": \"unknown\"}")).isEmpty();
    }
}
