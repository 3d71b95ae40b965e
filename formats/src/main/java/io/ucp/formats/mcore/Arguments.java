package io.ucp.formats.mcore;

import io.ucp.formats.torch.pickle.PickleValue;

import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;

/// The training script's arguments, as a file keeps them under `args`. What a release of Megatron
/// does not have is as that release did.
public record Arguments(PickleValue namespace) {
    public Optional<PickleValue> find(String name) {
        return namespace.find(name).filter(v -> !v.isNone());
    }

    public OptionalLong number(String name) {
        return find(name).map(PickleValue::asLong).orElse(OptionalLong.empty());
    }

    public boolean is(String name) {
        return find(name).flatMap(PickleValue::asBool).orElse(false);
    }

    /// 1 where it is not said.
    public int degree(String name) {
        OptionalLong number = number(name);
        return number.isPresent() && number.getAsLong() > 0 && number.getAsLong() <= 1 << 20
                ? (int) number.getAsLong()
                : 1;
    }

    /// Before 2021 ranks were cut over in this way alone.
    public int tp() {
        return number("tensor_model_parallel_size").isPresent()
                ? degree("tensor_model_parallel_size")
                : degree("model_parallel_size");
    }

    public int pp() {
        return degree("pipeline_model_parallel_size");
    }

    public int ep() {
        return degree("expert_model_parallel_size");
    }

    public int cp() {
        return degree("context_parallel_size");
    }

    /// Ranks that share an expert; those that share any other parameter where nothing is said.
    public int etp() {
        return number("expert_tensor_parallel_size").isPresent()
                ? degree("expert_tensor_parallel_size")
                : tp();
    }

    /// Model chunks of a stage.
    public int virtual() {
        return degree("virtual_pipeline_model_parallel_size");
    }

    /// Ranks of the job, where that is said.
    public OptionalInt world() {
        OptionalLong world = number("world_size");
        return world.isPresent() && world.getAsLong() > 0 && world.getAsLong() <= 1 << 30
                ? OptionalInt.of((int) world.getAsLong())
                : OptionalInt.empty();
    }

    public boolean experts() {
        return number("num_experts").orElse(0) > 0;
    }

    public boolean tied() {
        return find("untie_embeddings_and_output_weights").isPresent()
                && !is("untie_embeddings_and_output_weights");
    }

    /// Whether the model is made without Transformer Engine.
    public boolean local() {
        return find("transformer_impl")
                .flatMap(PickleValue::asText)
                .filter("local"::equals)
                .isPresent();
    }

    /// Whether the first layer of an MLP is the gate and the values, one behind the other.
    public boolean gated() {
        return is("swiglu") || is("quick_geglu") || is("geglu");
    }

    /// The sizes of the model by the names that specs use: those of every format, and `moe_ffn`,
    /// `shared_ffn`, `vpp`.
    public Map<String, Long> numbers() {
        Map<String, Long> numbers = new TreeMap<>();
        put(numbers, "layers", number("num_layers"));
        put(numbers, "hidden", number("hidden_size"));
        put(numbers, "ffn", number("ffn_hidden_size"));
        put(numbers, "heads", number("num_attention_heads"));
        put(
                numbers,
                "kv_heads",
                is("group_query_attention")
                        ? number("num_query_groups")
                        : number("num_attention_heads"));
        put(numbers, "head_dim", number("kv_channels"));
        put(numbers, "positions", number("max_position_embeddings"));
        put(numbers, "experts", number("num_experts"));
        OptionalLong ffn = number("moe_ffn_hidden_size");
        put(numbers, "moe_ffn", ffn.isPresent() ? ffn : number("ffn_hidden_size"));
        put(numbers, "shared_ffn", number("moe_shared_expert_intermediate_size"));
        numbers.put("vpp", (long) virtual());
        vocabulary(numbers);
        return numbers;
    }

    /// The real rows where padding explains those that there are, as Megatron pads them; else all.
    ///
    /// Source: Megatron-LM `training/vocab_utils.py`.
    private void vocabulary(Map<String, Long> numbers) {
        OptionalLong padded = number("padded_vocab_size");
        OptionalLong real = number("vocab_size");
        OptionalLong multiple = number("make_vocab_size_divisible_by");
        if (padded.isEmpty()) {
            return;
        }
        numbers.put("padded_vocab", padded.getAsLong());
        long step = multiple.orElse(128) * tp();
        boolean explained =
                real.isPresent()
                        && real.getAsLong() > 0
                        && step > 0
                        && Math.ceilDiv(real.getAsLong(), step) * step == padded.getAsLong();
        boolean whole = real.isEmpty() && step > 0 && padded.getAsLong() % step == 0;
        numbers.put("vocab", explained ? real.getAsLong() : padded.getAsLong());
        numbers.put("vocab_multiple", explained || whole ? multiple.orElse(128) : 1);
    }

    private static void put(Map<String, Long> numbers, String name, OptionalLong value) {
        if (value.isPresent() && value.getAsLong() > 0) {
            numbers.put(name, value.getAsLong());
        }
    }
}
