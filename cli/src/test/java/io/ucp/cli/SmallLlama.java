package io.ucp.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.StringJoiner;
import java.util.TreeMap;

/// A folder of a small model, as `save_pretrained` writes one: bf16 weights in the order of their
/// names, grouped queries, a vocabulary that every framework pads otherwise.
final class SmallLlama {
    private static final int HIDDEN = 16;
    private static final int FFN = 24;
    private static final int VOCAB = 41;

    private SmallLlama() {}

    static Path in(Path folder) throws IOException {
        Files.writeString(
                folder.resolve("config.json"),
                """
                {
                  "architectures": ["LlamaForCausalLM"],
                  "hidden_size": %d,
                  "intermediate_size": %d,
                  "model_type": "llama",
                  "num_attention_heads": 4,
                  "num_hidden_layers": 2,
                  "num_key_value_heads": 2,
                  "tie_word_embeddings": false,
                  "torch_dtype": "bfloat16",
                  "vocab_size": %d
                }
                """
                        .formatted(HIDDEN, FFN, VOCAB));
        Files.writeString(folder.resolve("tokenizer.json"), "{}\n");
        Files.write(folder.resolve("model.safetensors"), weights(shapes()));
        return folder;
    }

    private static Map<String, int[]> shapes() {
        Map<String, int[]> shapes = new TreeMap<>();
        shapes.put("model.embed_tokens.weight", new int[] {VOCAB, HIDDEN});
        shapes.put("lm_head.weight", new int[] {VOCAB, HIDDEN});
        shapes.put("model.norm.weight", new int[] {HIDDEN});
        for (int l = 0; l < 2; l++) {
            String layer = "model.layers.%d.".formatted(l);
            shapes.put(layer + "input_layernorm.weight", new int[] {HIDDEN});
            shapes.put(layer + "post_attention_layernorm.weight", new int[] {HIDDEN});
            shapes.put(layer + "self_attn.q_proj.weight", new int[] {HIDDEN, HIDDEN});
            shapes.put(layer + "self_attn.k_proj.weight", new int[] {HIDDEN / 2, HIDDEN});
            shapes.put(layer + "self_attn.v_proj.weight", new int[] {HIDDEN / 2, HIDDEN});
            shapes.put(layer + "self_attn.o_proj.weight", new int[] {HIDDEN, HIDDEN});
            shapes.put(layer + "mlp.gate_proj.weight", new int[] {FFN, HIDDEN});
            shapes.put(layer + "mlp.up_proj.weight", new int[] {FFN, HIDDEN});
            shapes.put(layer + "mlp.down_proj.weight", new int[] {HIDDEN, FFN});
        }
        return shapes;
    }

    /// A file of bf16 weights.
    static byte[] weights(Map<String, int[]> shapes) throws IOException {
        Random random = new Random(7);
        ByteArrayOutputStream data = new ByteArrayOutputStream();
        StringJoiner header = new StringJoiner(",", "{\"__metadata__\":{\"format\":\"pt\"},", "}");
        for (Map.Entry<String, int[]> e : shapes.entrySet()) {
            int begin = data.size();
            int count = 1;
            StringJoiner shape = new StringJoiner(",", "[", "]");
            for (int d : e.getValue()) {
                count *= d;
                shape.add(Integer.toString(d));
            }
            for (int i = 0; i < count; i++) {
                int bits = Float.floatToIntBits((float) random.nextGaussian()) >>> 16;
                data.write(bits);
                data.write(bits >>> 8);
            }
            header.add(
                    "\"%s\":{\"dtype\":\"BF16\",\"shape\":%s,\"data_offsets\":[%d,%d]}"
                            .formatted(e.getKey(), shape, begin, data.size()));
        }
        byte[] text = header.toString().getBytes(StandardCharsets.UTF_8);
        int size = (text.length + 7) / 8 * 8;
        ByteBuffer file =
                ByteBuffer.allocate(8 + size + data.size()).order(ByteOrder.LITTLE_ENDIAN);
        file.putLong(size).put(text);
        while (file.position() < 8 + size) {
            file.put((byte) ' ');
        }
        return file.put(data.toByteArray()).array();
    }
}
