package io.ucp.formats;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/// The numbers of a model that Hugging Face's `config.json` says (`heads`, `kv_heads`, `hidden`,
/// `ffn`, `layers`, `vocab`, ..), by the names that specs use. A model of several parts keeps those
/// of its language model under `text_config`; those of its `vision_config` are named `vision_heads`
/// and so on. What a file leaves out is what the model's class has. Source: transformers,
/// `models/*/configuration_*.py`.
public final class ConfigNumbers {
    /// Bytes.
    private static final long LARGEST = 16 << 20;

    private static final ObjectMapper MAPPER =
            new ObjectMapper(
                    JsonFactory.builder()
                            .disable(
                                    JsonFactory.Feature.CHARSET_DETECTION) // UTF-8 and nothing else
                            .build());

    private static final Map<String, List<String>> KEYS = new LinkedHashMap<>();

    static {
        KEYS.put("heads", List.of("num_attention_heads", "n_head", "num_heads"));
        KEYS.put("kv_heads", List.of("num_key_value_heads", "num_kv_heads", "n_head_kv"));
        KEYS.put("hidden", List.of("hidden_size", "n_embd", "n_embed"));
        KEYS.put("ffn", List.of("intermediate_size", "n_inner", "ffn_hidden_size"));
        KEYS.put("moe_ffn", List.of("moe_intermediate_size"));
        KEYS.put("shared_ffn", List.of("shared_expert_intermediate_size"));
        KEYS.put("layers", List.of("num_hidden_layers", "n_layer"));
        KEYS.put("vocab", List.of("vocab_size"));
        KEYS.put("head_dim", List.of("head_dim"));
        KEYS.put("positions", List.of("max_position_embeddings", "n_positions"));
        KEYS.put("experts", List.of("num_local_experts", "num_experts", "n_routed_experts"));
    }

    private ConfigNumbers() {}

    /// @param file `config.json`
    /// @return its object; nothing where it is none, or too large to be one
    public static Optional<JsonNode> object(ByteSource file) throws IOException {
        if (file.size() > LARGEST) {
            return Optional.empty();
        }
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(file.size()));
        try (ByteReader reader = file.open()) {
            reader.read(0, bytes);
        }
        try {
            return Optional.of(MAPPER.readTree(bytes.array())).filter(JsonNode::isObject);
        } catch (JacksonException _) {
            return Optional.empty();
        }
    }

    /// @param config the file's object; what is none has no numbers
    public static Map<String, Long> of(JsonNode config) {
        Map<String, Long> numbers = new TreeMap<>();
        JsonNode text = config.path("text_config");
        if (text.isObject()) {
            put(text, ConfigDefaults.type(config, "text_config"), "", numbers);
        } else {
            put(config, config.path("model_type").asText(), "", numbers);
        }
        JsonNode vision = config.path("vision_config");
        if (vision.isObject()) {
            put(vision, ConfigDefaults.type(config, "vision_config"), "vision_", numbers);
        }
        return numbers;
    }

    /// @param type of the model, whose class knows what is not said
    private static void put(
            JsonNode config, String type, String prefix, Map<String, Long> numbers) {
        Map<String, Long> others = ConfigDefaults.of(config, type);
        KEYS.forEach(
                (name, keys) -> {
                    for (String key : keys) {
                        Long other = others.get(key);
                        if (other != null) {
                            numbers.putIfAbsent(prefix + name, other);
                        }
                        JsonNode value = config.path(key);
                        if (value.isIntegralNumber() && value.longValue() > 0) {
                            numbers.putIfAbsent(prefix + name, value.longValue());
                        }
                    }
                });
        complete(config, prefix, numbers);
    }

    /// What the models take where nothing is said.
    private static void complete(JsonNode config, String prefix, Map<String, Long> numbers) {
        Long heads = numbers.get(prefix + "heads");
        Long hidden = numbers.get(prefix + "hidden");
        boolean one =
                config.path("multi_query").asBoolean(false)
                        && !config.path("new_decoder_architecture").asBoolean(false);
        if (one) {
            // Falcon's first architecture, whatever the number of key-value heads beside it.
            numbers.put(prefix + "kv_heads", 1L);
        } else if (heads != null) {
            numbers.putIfAbsent(prefix + "kv_heads", heads);
        }
        if (heads != null && hidden != null && hidden % heads == 0) {
            numbers.putIfAbsent(prefix + "head_dim", hidden / heads);
        }
    }
}
