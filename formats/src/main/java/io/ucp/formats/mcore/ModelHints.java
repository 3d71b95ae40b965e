package io.ucp.formats.mcore;

import io.ucp.formats.LayoutHints;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// What `args` and the names of a model say of how its parameters are laid out.
public final class ModelHints {
    private ModelHints() {}

    /// @param names of all parameters and buffers, counting over the whole model
    public static LayoutHints of(Arguments arguments, Set<String> names, Set<String> buffers) {
        Map<String, Long> numbers = arguments.numbers();
        Long rows = numbers.get("vocab");
        boolean tied = arguments.tied() && names.contains(Names.EMBEDDING);
        return new LayoutHints(
                Optional.empty(),
                List.of(),
                rows == null ? OptionalLong.empty() : OptionalLong.of(rows),
                tied ? Map.of(Names.HEAD, Names.EMBEDDING) : Map.of(),
                Set.of(),
                buffers,
                numbers,
                family(arguments, names));
    }

    private static Optional<String> family(Arguments arguments, Set<String> names) {
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
