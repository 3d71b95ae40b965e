package io.ucp.formats.deepspeed;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.ucp.formats.Finding;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.training.DeepSpeedJob;
import io.ucp.io.WholeFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;

/// The sizes of the model by the names that specs use: `heads`, `kv_heads`, `hidden`, `ffn`,
/// `layers`, `vocab` (real rows), `padded_vocab`, `head_dim`, `positions`, `experts`.
///
/// From the training script's arguments (Megatron-LM's names), `universal_checkpoint_info`, and the
/// `config.json` of Hugging Face beside the checkpoint; the first that has a number decides.
final class ModelNumbers {
    private static final String ARGS = "args";

    private ModelNumbers() {}

    private static final Map<String, List<String>> ARGUMENTS =
            names(
                    "heads", List.of("num_attention_heads"),
                    "kv_heads", List.of("num_key_value_heads", "num_query_groups"),
                    "hidden", List.of("hidden_size"),
                    "ffn", List.of("ffn_hidden_size"),
                    "layers", List.of("num_layers"),
                    "padded_vocab", List.of("padded_vocab_size"),
                    "head_dim", List.of("kv_channels"),
                    "positions", List.of("max_position_embeddings"),
                    "vocab_multiple", List.of("make_vocab_size_divisible_by"));

    private static final Map<String, List<String>> CONFIG =
            names(
                    "heads", List.of("num_attention_heads", "n_head"),
                    "kv_heads", List.of("num_key_value_heads"),
                    "hidden", List.of("hidden_size", "n_embd"),
                    "ffn", List.of("intermediate_size", "n_inner"),
                    "layers", List.of("num_hidden_layers", "n_layer"),
                    "vocab", List.of("vocab_size"),
                    "head_dim", List.of("head_dim"),
                    "positions", List.of("max_position_embeddings", "n_positions"),
                    "experts", List.of("num_local_experts", "num_experts", "n_routed_experts"));

    @SuppressWarnings("unchecked")
    private static Map<String, List<String>> names(Object... pairs) {
        Map<String, List<String>> names = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) {
            names.put((String) pairs[i], (List<String>) pairs[i + 1]);
        }
        return names;
    }

    static Map<String, Long> of(ModelStates model, Optional<Path> beside, List<Finding> findings)
            throws IOException {
        Map<String, Long> numbers = new TreeMap<>();
        PickleValue root = model.file().root();
        ARGUMENTS.forEach(
                (name, keys) -> {
                    for (String key : keys) {
                        put(numbers, name, root.find(ARGS, key));
                    }
                });
        put(numbers, "vocab", root.find("universal_checkpoint_info", "original_vocab_size"));
        put(numbers, "padded_vocab", root.find("universal_checkpoint_info", "padded_vocab_size"));
        put(numbers, "experts", first(root.find("num_experts")));
        put(numbers, "experts", first(root.find(ARGS, "num_experts")));
        for (PyDict.Entry e :
                root.find(DeepSpeedJob.NUMBERS)
                        .flatMap(PickleValue::asDict)
                        .map(PyDict::entries)
                        .orElse(List.of())) {
            e.key().asText().ifPresent(name -> put(numbers, name, Optional.of(e.value())));
        }
        if (beside.isPresent()) {
            config(numbers, beside.get().resolve("config.json"), findings);
        }
        complete(numbers);
        return numbers;
    }

    private static Optional<PickleValue> first(Optional<PickleValue> value) {
        Optional<List<PickleValue>> list = value.flatMap(PickleValue::asSequence);
        return list.isPresent() ? list.get().stream().findFirst() : value;
    }

    private static void put(Map<String, Long> numbers, String name, Optional<PickleValue> value) {
        OptionalLong number = value.map(PickleValue::asLong).orElse(OptionalLong.empty());
        if (number.isPresent() && number.getAsLong() > 0) {
            numbers.putIfAbsent(name, number.getAsLong());
        }
    }

    private static final long LARGEST_CONFIG = 16 << 20;

    private static void config(Map<String, Long> numbers, Path file, List<Finding> findings)
            throws IOException {
        if (!Files.isRegularFile(file) || Files.size(file) > LARGEST_CONFIG) {
            return;
        }
        try {
            JsonNode config =
                    new ObjectMapper(
                                    JsonFactory.builder()
                                            .disable(
                                                    JsonFactory.Feature
                                                            .CHARSET_DETECTION) // UTF-8 and nothing
                                            // else
                                            .build())
                            .readTree(WholeFile.read(file));
            CONFIG.forEach(
                    (name, keys) -> {
                        for (String key : keys) {
                            JsonNode value = config.path(key);
                            if (value.isIntegralNumber() && value.longValue() > 0) {
                                numbers.putIfAbsent(name, value.longValue());
                            }
                        }
                    });
        } catch (JacksonException e) {
            findings.add(new Finding(TagFolder.nameOf(file), "not JSON, its numbers are not used"));
        }
    }

    /// What the frameworks take where nothing is said.
    private static void complete(Map<String, Long> numbers) {
        Long heads = numbers.get("heads");
        Long hidden = numbers.get("hidden");
        if (heads != null) {
            numbers.putIfAbsent("kv_heads", heads);
        }
        if (heads != null && hidden != null && hidden % heads == 0) {
            numbers.putIfAbsent("head_dim", hidden / heads);
        }
    }
}
