package io.ucp.formats.mcore;

import io.ucp.formats.LayoutHints;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// What `args` and the names of a model say of how its parameters are laid out.
public final class ModelHints {
    private static final String LANGUAGE_BIAS =
            "language_model.decoder.layers.0.self_attention.linear_qkv.bias";

    private ModelHints() {}

    /// @param names of all parameters and buffers, counting over the whole model
    public static LayoutHints of(Arguments arguments, Set<String> names, Set<String> buffers) {
        Map<String, Long> numbers = arguments.numbers();
        Long rows = numbers.get("vocab");
        Optional<String> tied = Names.embedding(names).filter(_ -> arguments.tied());
        return new LayoutHints(
                Optional.empty(),
                List.of(),
                rows == null ? OptionalLong.empty() : OptionalLong.of(rows),
                tied.map(e -> Map.of(Names.headOf(e), e)).orElse(Map.of()),
                Set.of(),
                buffers,
                numbers,
                family(arguments, names));
    }

    private static Optional<String> family(Arguments arguments, Set<String> names) {
        if (names.stream().anyMatch(n -> n.startsWith("vision_model."))) {
            boolean biased = names.stream().anyMatch(n -> n.startsWith(LANGUAGE_BIAS));
            return Optional.of(
                    biased ? "megatron_core_llava_onevision_hf" : "megatron_core_llava_hf");
        }
        if (names.stream().noneMatch(n -> n.startsWith("decoder.layers."))) {
            return Optional.empty();
        }
        boolean experts = names.stream().anyMatch(Names::isExpert);
        return Optional.of(
                arguments.gated()
                        ? experts ? "megatron_core_moe" : "megatron_core_llama"
                        : experts ? "megatron_core_gpt_moe" : "megatron_core_gpt");
    }
}
