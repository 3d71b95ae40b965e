package io.ucp.formats.megatron;

import io.ucp.formats.RefusedException;
import io.ucp.formats.megatron.ModelChunks.Held;
import io.ucp.formats.torch.pickle.PickleValue;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;

/// In which order the rows of fused queries, keys and values lie, which a file says by its
/// `checkpoint_version`. Without one it is of the oldest.
///
/// Of version 0 and 1.0 are the GPT-2 models of 2019 and 2020. Megatron-LM brings the rows of their
/// weights into the order of today when it loads them, but not those of the optimizer; here all
/// states of a parameter lie as its weight does, and a spec for each version says how.
///
/// Source: Megatron-LM `training/checkpointing.py` (`fix_query_key_value_ordering`); releases 1.0
/// and 2.0, `megatron/model/transformer.py`.
enum RowOrder {
    /// A rank's queries, its keys, its values.
    VERSION_0(0, "megatron_legacy_gpt_v0"),

    /// Of each head the first row of its query, of its key, of its value, then the second ones.
    VERSION_1(1, "megatron_legacy_gpt_v1"),

    /// Of each head, or group of heads, its queries, its key, its value.
    TODAY(2, "megatron_legacy_gpt");

    private static final String KEY = "checkpoint_version";

    /// What the modules of a GPT-2 were called until 2021.
    private static final List<String> NAMES =
            List.of("language_model.transformer.", "language_model.embedding.");

    private final double version;
    private final String family;

    RowOrder(double version, String family) {
        this.version = version;
        this.family = family;
    }

    /// @throws RefusedException where no release wrote such a version
    static RowOrder of(RankFile file) {
        double version =
                file.root()
                        .find(KEY)
                        .map(PickleValue::asDouble)
                        .orElseGet(OptionalDouble::empty)
                        .orElse(0);
        return version >= TODAY.version
                ? TODAY
                : Arrays.stream(values())
                        .filter(o -> o.version == version)
                        .findFirst()
                        .orElseThrow(
                                () ->
                                        refused(
                                                file,
                                                "`%s` %s".formatted(KEY, version),
                                                "0, 1.0, or 2.0 and newer, which say in what order"
                                                        + " the rows of queries, keys and values"
                                                        + " lie"));
    }

    boolean isOld() {
        return this != TODAY;
    }

    /// The bundled spec of a model by its names of before 2021; nothing for other names.
    ///
    /// @throws RefusedException where the rows of the model are in an old order that no spec says
    Optional<String> family(RankFile file, Set<String> names) {
        boolean known = names.stream().allMatch(n -> NAMES.stream().anyMatch(n::startsWith));
        if (isOld() && !known) {
            throw refused(
                    file,
                    "`%s` %s, whose query, key and value rows have another order"
                            .formatted(KEY, version),
                    "2.0 or newer, or a GPT-2 of then (%s.., ..)".formatted(NAMES.getFirst()));
        }
        return known ? Optional.of(family) : Optional.empty();
    }

    /// The sizes of such a model as far as its tensors say them: old arguments do not say all.
    ///
    /// @param held of a rank
    static Map<String, Long> numbers(List<Held> held, int tp) {
        Map<String, Long> numbers = new HashMap<>();
        for (Held each : held) {
            long rows = each.tensor().shape().rank() > 0 ? each.tensor().shape().dim(0) : 0;
            if (each.global().endsWith(".word_embeddings.weight")) {
                numbers.put("vocab", rows * tp);
                numbers.put("vocab_multiple", 1L);
            } else if (each.global().endsWith(".position_embeddings.weight")) {
                numbers.put("positions", rows);
            } else if (each.global().endsWith(".final_layernorm.weight")) {
                numbers.put("hidden", rows);
            } else if (each.global().endsWith(".mlp.dense_h_to_4h.weight")) {
                numbers.put("ffn", rows * tp);
            }
        }
        return numbers;
    }

    private static RefusedException refused(RankFile file, String found, String expected) {
        return new RefusedException(
                file.path().toString(),
                found,
                expected,
                "load it with Megatron-LM and save it again: that writes 3.0");
    }
}
