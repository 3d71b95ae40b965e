package io.ucp.formats;

import com.fasterxml.jackson.databind.JsonNode;

import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/// What a `config.json` says by leaving it out: transformers leaves out what its configuration
/// classes have anyway, and so do published files, such as those of LLaVA 1.5. It is known where
/// the class is, which `model_type` names.
///
/// A spec cannot say this: it would be a number for weights without a configuration too, which say
/// nothing of it.
///
/// Source: transformers 5.12, `models/*/configuration_*.py`.
final class ConfigDefaults {
    private static final Map<String, Map<String, Long>> CLASSES =
            Map.of(
                    "llama",
                    Map.of(
                            "vocab_size", 32_000L,
                            "hidden_size", 4096L,
                            "intermediate_size", 11_008L,
                            "num_hidden_layers", 32L,
                            "num_attention_heads", 32L,
                            "max_position_embeddings", 2048L),
                    "mistral",
                    Map.of(
                            "vocab_size", 32_000L,
                            "hidden_size", 4096L,
                            "intermediate_size", 14_336L,
                            "num_hidden_layers", 32L,
                            "num_attention_heads", 32L,
                            "num_key_value_heads", 8L,
                            "max_position_embeddings", 131_072L),
                    "qwen2",
                    Map.of(
                            "vocab_size", 151_936L,
                            "hidden_size", 4096L,
                            "intermediate_size", 22_016L,
                            "num_hidden_layers", 32L,
                            "num_attention_heads", 32L,
                            "num_key_value_heads", 32L,
                            "max_position_embeddings", 32_768L),
                    "clip_vision_model",
                    Map.of(
                            "hidden_size", 768L,
                            "intermediate_size", 3072L,
                            "num_hidden_layers", 12L,
                            "num_attention_heads", 12L),
                    "siglip_vision_model",
                    Map.of(
                            "hidden_size", 768L,
                            "intermediate_size", 3072L,
                            "num_hidden_layers", 12L,
                            "num_attention_heads", 12L));

    /// The class of a part that does not name its own, by the type of the whole.
    private static final Map<String, Map<String, String>> PARTS =
            Map.of(
                    "llava",
                    Map.of("text_config", "llama", "vision_config", "clip_vision_model"),
                    "llava_onevision",
                    Map.of("text_config", "qwen2", "vision_config", "siglip_vision_model"));

    private ConfigDefaults() {}

    /// @param type a `model_type`, or empty
    /// @return key -> number, of keys that `config` does not have; `null` is had
    static Map<String, Long> of(JsonNode config, String type) {
        Map<String, Long> all = CLASSES.getOrDefault(type, Map.of());
        return all.entrySet().stream()
                .filter(each -> !config.has(each.getKey()))
                .collect(Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue));
    }

    /// The type that a configuration names, or, in a model of parts, that the model's class takes
    /// for this part.
    ///
    /// @param key of the part in the whole's configuration
    static String type(JsonNode whole, String key) {
        JsonNode part = whole.path(key);
        return part.hasNonNull("model_type")
                ? part.path("model_type").asText()
                : ofWhole(whole, key).orElse("");
    }

    /// Empty where a model of this type has no such part.
    private static Optional<String> ofWhole(JsonNode whole, String key) {
        return Optional.ofNullable(PARTS.get(whole.path("model_type").asText()))
                .map(parts -> parts.get(key));
    }
}
