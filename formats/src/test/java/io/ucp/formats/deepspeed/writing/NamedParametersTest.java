package io.ucp.formats.deepspeed.writing;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/// Names in any order come out in that of `named_parameters`. The expected ones are what
/// transformers 5.12 says of a model of each kind, and what Megatron-DeepSpeed's checkpoints say in
/// `param_shapes`.
final class NamedParametersTest {
    @ParameterizedTest
    @ValueSource(
            strings = {
                "model.embed_tokens model.layers.N.self_attn.q_proj model.layers.N.self_attn.k_proj"
                        + " model.layers.N.self_attn.v_proj model.layers.N.self_attn.o_proj"
                        + " model.layers.N.mlp.gate_proj model.layers.N.mlp.up_proj"
                        + " model.layers.N.mlp.down_proj model.layers.N.input_layernorm"
                        + " model.layers.N.post_attention_layernorm model.norm lm_head",
                "transformer.wte transformer.wpe transformer.h.N.ln_1 transformer.h.N.attn.c_attn"
                    + " transformer.h.N.attn.c_proj transformer.h.N.ln_2 transformer.h.N.mlp.c_fc"
                    + " transformer.h.N.mlp.c_proj transformer.ln_f",
                "transformer.word_embeddings transformer.word_embeddings_layernorm"
                        + " transformer.h.N.input_layernorm"
                        + " transformer.h.N.self_attention.query_key_value"
                        + " transformer.h.N.self_attention.dense"
                        + " transformer.h.N.post_attention_layernorm"
                        + " transformer.h.N.mlp.dense_h_to_4h transformer.h.N.mlp.dense_4h_to_h"
                        + " transformer.ln_f",
                "transformer.word_embeddings transformer.h.N.self_attention.query_key_value"
                        + " transformer.h.N.self_attention.dense transformer.h.N.mlp.dense_h_to_4h"
                        + " transformer.h.N.mlp.dense_4h_to_h transformer.h.N.input_layernorm"
                        + " transformer.ln_f",
                "gpt_neox.embed_in gpt_neox.layers.N.input_layernorm"
                    + " gpt_neox.layers.N.post_attention_layernorm"
                    + " gpt_neox.layers.N.attention.query_key_value"
                    + " gpt_neox.layers.N.attention.dense gpt_neox.layers.N.mlp.dense_h_to_4h"
                    + " gpt_neox.layers.N.mlp.dense_4h_to_h gpt_neox.final_layer_norm embed_out",
                "language_model.embedding.word_embeddings"
                        + " language_model.encoder.layers.N.input_layernorm"
                        + " language_model.encoder.layers.N.self_attention.query_key_value"
                        + " language_model.encoder.layers.N.self_attention.dense"
                        + " language_model.encoder.layers.N.post_attention_layernorm"
                        + " language_model.encoder.layers.N.mlp.dense_h_to_4h"
                        + " language_model.encoder.layers.N.mlp.dense_4h_to_h"
                        + " language_model.encoder.final_layernorm",
            })
    void theOrderIsThatOfTheModelsModules(String modules) {
        List<String> expected = new ArrayList<>();
        List<String> all = List.of(modules.split(" "));
        List<String> layer = all.stream().filter(m -> m.contains(".N.")).toList();
        for (String module : all) {
            if (!layer.contains(module)) {
                expected.addAll(tensors(module));
            } else if (module.equals(layer.getFirst())) {
                IntStream.range(0, 12)
                        .forEach(
                                n ->
                                        layer.stream()
                                                .map(m -> m.replace(".N.", "." + n + "."))
                                                .forEach(m -> expected.addAll(tensors(m))));
            }
        }
        List<String> shuffled = new ArrayList<>(expected);
        Collections.shuffle(shuffled, new Random(1));
        assertThat(NamedParameters.of(shuffled)).hasValue(expected);
    }

    private static List<String> tensors(String module) {
        return List.of(module + ".weight", module + ".bias");
    }

    @Test
    void layersOfAPipelineAreInTheOrderOfTheirNumbers() {
        assertThat(
                        NamedParameters.of(
                                List.of(
                                        "10.self_attention.dense.weight",
                                        "2.self_attention.dense.weight",
                                        "2.self_attention.query_key_value.weight",
                                        "10.self_attention.query_key_value.weight")))
                .hasValue(
                        List.of(
                                "2.self_attention.query_key_value.weight",
                                "2.self_attention.dense.weight",
                                "10.self_attention.query_key_value.weight",
                                "10.self_attention.dense.weight"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "embed.weight block.up.weight",
                "model.embed_tokens.weight model.layers.0.self_attn.q_proj.lora_A"
                        + " model.layers.0.self_attn.q_proj.weight model.norm.weight",
                "model.norm.weight model.norm.weight.scale lm_head.weight",
            })
    void ofAnyOtherModelNoOneSaysIt(String names) {
        assertThat(NamedParameters.of(List.of(names.split(" ")))).isEmpty();
    }
}
