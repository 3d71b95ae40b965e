package io.ucp.formats;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.ucp.io.ByteSource;
import io.ucp.io.MemorySource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// The configuration of a part of a model: what `config.json` of the whole says of it. A model of
/// several parts keeps the configuration of each as an object of its own, which names the part's
/// `model_type`; transformers makes the part by itself from that. Source: transformers
/// `models/llava/configuration_llava.py` and its kin (`sub_configs`).
public final class PartConfig {
    public static final String FILE = "config.json";

    /// Beside a part whose names lack the words before them: `config.json` of the whole.
    public static final String WHOLE = "config.whole.json";

    /// Last word of a component -> whose configuration it has.
    private static final Map<String, String> OF =
            Map.of(
                    "language_model", "text_config",
                    "text_model", "text_config",
                    "vision_tower", "vision_config",
                    "vision_model", "vision_config",
                    "visual", "vision_config",
                    "audio_tower", "audio_config",
                    "audio_model", "audio_config");

    /// What a part has where the whole alone says it.
    private static final List<String> SHARED =
            List.of("dtype", "torch_dtype", "tie_word_embeddings", "transformers_version");

    private static final ObjectMapper MAPPER = new ObjectMapper();

    private PartConfig() {}

    /// @param key of the object in the whole's file
    public record Own(String key, ByteSource file) {}

    /// @param whole `config.json` of the whole
    /// @param component the first words of the part's names
    /// @return nothing where the whole says nothing of it by itself
    public static Optional<Own> of(ByteSource whole, String component) throws IOException {
        String key = OF.get(component.substring(component.lastIndexOf('.') + 1));
        Optional<JsonNode> root = key == null ? Optional.empty() : ConfigNumbers.object(whole);
        if (root.isEmpty() || !root.get().path(key).path("model_type").isTextual()) {
            return Optional.empty();
        }
        ObjectNode own = root.get().path(key).deepCopy();
        boolean typed = own.hasNonNull("dtype") || own.hasNonNull("torch_dtype");
        for (String name : SHARED) {
            JsonNode value = root.get().get(name);
            if (value != null && !own.has(name) && !(typed && name.endsWith("dtype"))) {
                own.set(name, value);
            }
        }
        return Optional.of(
                new Own(
                        String.valueOf(key),
                        new MemorySource(whole.path(), text(own), whole.stamp())));
    }

    private static byte[] text(ObjectNode object) {
        try {
            String text = MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(object);
            return (text + "\n").getBytes(StandardCharsets.UTF_8);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a tree of JSON has a text", e);
        }
    }
}
