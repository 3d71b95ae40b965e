package io.ucp.formats.mcore;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/// The order in which Megatron-Core makes the modules of a model, which is that of
/// `named_parameters` and so of everything that an optimizer numbers.
///
/// Source: Megatron-LM `core/models/gpt/gpt_model.py`, `core/transformer/transformer_layer.py`,
/// `core/transformer/attention.py`, `core/transformer/mlp.py`, `core/transformer/moe/moe_layer.py`;
/// checked against files that Megatron-LM wrote.
public final class ModuleOrder {
    private static final List<String> ORDER =
            List.of(
                    "embedding.word_embeddings.",
                    "embedding.position_embeddings.",
                    ".input_layernorm.",
                    ".self_attention.linear_proj.",
                    ".self_attention.linear_qkv.layer_norm_weight",
                    ".self_attention.linear_qkv.layer_norm_bias",
                    ".self_attention.linear_qkv.",
                    ".self_attention.q_layernorm.",
                    ".self_attention.k_layernorm.",
                    ".pre_mlp_layernorm.",
                    ".mlp.router.",
                    ".mlp.experts.",
                    ".mlp.shared_experts.linear_fc1.",
                    ".mlp.shared_experts.linear_fc2.",
                    ".mlp.shared_experts.gate_weight",
                    ".mlp.linear_fc1.layer_norm_weight",
                    ".mlp.linear_fc1.layer_norm_bias",
                    ".mlp.linear_fc1.",
                    ".mlp.linear_fc2.",
                    "decoder.final_layernorm.",
                    "output_layer.");

    private ModuleOrder() {}

    public static List<String> sorted(List<String> names) {
        List<String> sorted = new ArrayList<>(names);
        sorted.sort(
                Comparator.<String>comparingLong(ModuleOrder::layer)
                        .thenComparingInt(ModuleOrder::module)
                        .thenComparingInt(
                                n -> n.contains("linear_fc2") || n.endsWith(".weight2") ? 1 : 0)
                        .thenComparingInt(n -> n.endsWith("bias") ? 1 : 0));
        return sorted;
    }

    /// What has no layer is in front of the layers or behind them.
    private static long layer(String name) {
        return Names.layer(name).orElse(Names.isInFront(name) ? -1L : Long.MAX_VALUE);
    }

    /// Whether it is the name of a parameter that some model of Megatron-Core has.
    static boolean knows(String name) {
        return module(name) < ORDER.size();
    }

    private static int module(String name) {
        for (int i = 0; i < ORDER.size(); i++) {
            if (name.contains(ORDER.get(i))) {
                return i;
            }
        }
        return ORDER.size();
    }
}
