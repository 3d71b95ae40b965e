package io.ucp.convert;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import java.util.TreeMap;

/// A small model under the names that transformers gives it. Every bundled family has a file in
/// `families` with the names and shapes of such a model.
///
/// @param numbers as `config.json` gives them
record FamilyModel(Map<String, Long> numbers, List<ParameterFacts> parameters) {
    static final Path FOLDER = Path.of("src/test/resources/families");

    static FamilyModel read(String family) throws IOException {
        Map<String, Long> numbers = new LinkedHashMap<>();
        numbers.put("vocab_multiple", 128L);
        numbers.put("vpp", 1L);
        List<ParameterFacts> parameters = new ArrayList<>();
        for (String line : Files.readAllLines(FOLDER.resolve(family + ".txt"))) {
            if (line.startsWith("//") || line.isBlank()) {
                continue;
            }
            if (line.contains(",")) {
                for (String number : line.split(", ", -1)) {
                    String[] parts = number.split(" ", -1);
                    numbers.put(parts[0], Long.parseLong(parts[1]));
                }
                continue;
            }
            String[] parts = line.split(" ", -1);
            long[] dims = Arrays.stream(parts).skip(1).mapToLong(Long::parseLong).toArray();
            for (String name : names(parts[0], numbers)) {
                parameters.add(facts(name, Shape.of(dims)));
            }
        }
        return new FamilyModel(numbers, parameters);
    }

    private static List<String> names(String name, Map<String, Long> numbers) {
        List<String> names = List.of(name);
        for (Map.Entry<String, String> e :
                Map.of("{l}", "layers", "{e}", "experts", "{v}", "vision_layers").entrySet()) {
            List<String> more = new ArrayList<>();
            for (String each : names) {
                long count = each.contains(e.getKey()) ? numbers.getOrDefault(e.getValue(), 0L) : 1;
                for (int i = 0; i < count; i++) {
                    more.add(each.replace(e.getKey(), Integer.toString(i)));
                }
            }
            names = more;
        }
        return names;
    }

    private static ParameterFacts facts(String name, Shape shape) {
        return new ParameterFacts(
                name,
                shape,
                shape,
                Map.of("weight", DType.FLOAT32),
                Map.of(),
                Split.UNKNOWN,
                true,
                false,
                -1,
                List.of(),
                Map.of(),
                List.of());
    }

    private static final ObjectMapper JSON = new ObjectMapper();

    private static final Map<String, String> KEYS =
            Map.ofEntries(
                    Map.entry("heads", "num_attention_heads"),
                    Map.entry("kv_heads", "num_key_value_heads"),
                    Map.entry("head_dim", "head_dim"),
                    Map.entry("hidden", "hidden_size"),
                    Map.entry("ffn", "intermediate_size"),
                    Map.entry("moe_ffn", "moe_intermediate_size"),
                    Map.entry("shared_ffn", "shared_expert_intermediate_size"),
                    Map.entry("layers", "num_hidden_layers"),
                    Map.entry("vocab", "vocab_size"),
                    Map.entry("positions", "max_position_embeddings"),
                    Map.entry("experts", "num_local_experts"));

    /// As `save_pretrained` writes it: every element its own number, in float32.
    Path write(Path folder) throws IOException {
        Files.createDirectories(folder);
        Files.writeString(folder.resolve("config.json"), config());
        StringJoiner header = new StringJoiner(",", "{\"__metadata__\":{\"format\":\"pt\"},", "}");
        long at = 0;
        for (ParameterFacts p :
                parameters.stream().sorted(Comparator.comparing(ParameterFacts::name)).toList()) {
            long end = at + p.shape().count() * 4;
            header.add(
                    "\"%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
                            .formatted(
                                    p.name(),
                                    Arrays.toString(p.shape().dims()).replace(" ", ""),
                                    at,
                                    end));
            at = end;
        }
        byte[] text = header.toString().getBytes(StandardCharsets.UTF_8);
        int size = (text.length + 7) / 8 * 8;
        ByteBuffer file =
                ByteBuffer.allocate(Math.toIntExact(8 + size + at)).order(ByteOrder.LITTLE_ENDIAN);
        file.putLong(size).put(text);
        while (file.position() < 8 + size) {
            file.put((byte) ' ');
        }
        for (int i = 0; file.hasRemaining(); i++) {
            file.putInt(i);
        }
        Files.write(folder.resolve("model.safetensors"), file.array());
        return folder;
    }

    private String config() {
        Map<String, Map<String, Long>> parts = new TreeMap<>();
        numbers.forEach(
                (name, number) -> {
                    boolean seeing = name.startsWith("vision_");
                    String key = KEYS.get(seeing ? name.substring("vision_".length()) : name);
                    if (key != null) {
                        parts.computeIfAbsent(
                                        seeing ? "vision_config" : "text_config",
                                        _ -> new TreeMap<>())
                                .put(key, number);
                    }
                });
        ObjectNode config =
                JSON.valueToTree(parts.size() > 1 ? parts : parts.values().iterator().next());
        config.put(
                "tie_word_embeddings",
                parameters.stream().noneMatch(p -> p.name().matches(".*(lm_head|embed_out).*")));
        return config.toString();
    }
}
