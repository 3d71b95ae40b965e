package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.LayoutHints;
import io.ucp.formats.LayoutHints.Kind;
import io.ucp.formats.LayoutHints.Pattern;
import io.ucp.formats.torch.pickle.PickleValue;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// Reads `universal_checkpoint_info` and the training script's arguments out of model states.
///
/// Source: DeepSpeed `checkpoint/constants.py`; Megatron-DeepSpeed `megatron/model/gpt_model.py`
/// (`universal_checkpoint_info`), `megatron/arguments.py`.
final class Hints {
    /// Keys of lists of patterns, in the order in which they apply.
    private static final Map<String, Kind> LISTS = new LinkedHashMap<>();

    private static final Map<String, String> NUMBERS =
            Map.of(
                    "heads", "num_attention_heads",
                    "kv_heads", "num_key_value_heads",
                    "hidden", "hidden_size",
                    "ffn", "ffn_hidden_size",
                    "layers", "num_layers",
                    "vocab", "padded_vocab_size");

    static {
        LISTS.put("tp_replicated_parameter_patterns", Kind.REPLICATED_OVER_TP);
        LISTS.put("parameter_to_average_patterns", Kind.AVERAGED_OVER_TP);
        LISTS.put("parameter_with_2_sub_params_cat_dim_0", Kind.TWO_SUB_PARAMS);
        LISTS.put("parameter_with_sub_params", Kind.SUB_PARAMS);
        LISTS.put("parameter_with_row_parallelism_patterns", Kind.ROW_PARALLEL);
        LISTS.put("vocabulary_parameter_patterns", Kind.VOCABULARY);
        LISTS.put("pipeline_replicated_parameter_patterns", Kind.REPLICATED_OVER_PP);
    }

    private Hints() {}

    /// @param ranks model states of every model-parallel rank, the first one's patterns being taken
    static LayoutHints of(List<ModelStates> ranks) {
        ModelStates first = ranks.getFirst();
        Optional<PickleValue> found = first.root().find("universal_checkpoint_info");
        Map<String, String> aliases = new LinkedHashMap<>();
        Set<String> frozen = new LinkedHashSet<>();
        Set<String> buffers = new LinkedHashSet<>();
        for (ModelStates rank : ranks) {
            aliases.putAll(rank.aliases());
            frozen.addAll(rank.frozen().keySet());
            buffers.addAll(rank.buffers());
        }
        return new LayoutHints(
                found.map(info -> version(info)),
                found.map(Hints::patterns).orElse(List.of()),
                found.flatMap(info -> info.find("original_vocab_size"))
                        .map(PickleValue::asLong)
                        .orElse(OptionalLong.empty()),
                aliases,
                frozen,
                buffers,
                numbers(first));
    }

    private static String version(PickleValue info) {
        Optional<PickleValue> version = info.find("universal_checkpoint_version");
        return version.flatMap(PickleValue::asText)
                .or(() -> version.map(PickleValue::toString))
                .orElse("0");
    }

    private static List<Pattern> patterns(PickleValue info) {
        Map<String, List<List<Long>>> widths = new HashMap<>();
        info.find("sub_param_shard_widths")
                .flatMap(PickleValue::asDict)
                .ifPresent(
                        dict ->
                                dict.entries()
                                        .forEach(
                                                e ->
                                                        SplitKeys.extents(e.value())
                                                                .ifPresent(
                                                                        w ->
                                                                                widths.put(
                                                                                        e.key().asText().orElse(""),
                                                                                        w))));
        List<Pattern> all = new ArrayList<>();
        LISTS.forEach(
                (key, kind) -> {
                    for (PickleValue each : list(info.find(key))) {
                        if (kind == Kind.SUB_PARAMS) {
                            subParams(each, widths, all);
                        } else {
                            each.asText()
                                    .ifPresent(
                                            regex -> all.add(pattern(kind, regex)));
                        }
                    }
                });
        return all;
    }

    private static Pattern pattern(Kind kind, String regex) {
        int dim =
                switch (kind) {
                    case ROW_PARALLEL -> 1;
                    case TWO_SUB_PARAMS, SUB_PARAMS, VOCABULARY -> 0;
                    case REPLICATED_OVER_TP, AVERAGED_OVER_TP, REPLICATED_OVER_PP -> -1;
                };
        return new Pattern(kind, regex, dim, List.of(), List.of());
    }

    /// `{patterns, shape, partition_dim}`: the fields of a `SubparamShape`.
    private static void subParams(
            PickleValue value, Map<String, List<List<Long>>> widths, List<Pattern> into) {
        Optional<List<List<Long>>> shape = value.find("shape").flatMap(SplitKeys::extents);
        OptionalLong dim =
                value.find("partition_dim").map(PickleValue::asLong).orElse(OptionalLong.empty());
        if (shape.isEmpty()
                || dim.isEmpty()
                || dim.getAsLong() < 0
                || dim.getAsLong() >= shape.get().size()) {
            return;
        }
        for (String regex : regexes(value)) {
            into.add(
                    new Pattern(
                            Kind.SUB_PARAMS,
                            regex,
                            (int) dim.getAsLong(),
                            shape.get(),
                            widths.getOrDefault(regex, List.of())));
        }
    }

    private static List<String> regexes(PickleValue subParams) {
        return list(subParams.find("patterns")).stream()
                .flatMap(p -> p.asText().stream())
                .toList();
    }

    /// `SubparamShape.patterns` of the entry that describes this parameter: every pattern of the
    /// entry, as upstream keeps them.
    static Optional<List<String>> subParamPatterns(ModelStates states, String parameter) {
        for (PickleValue each :
                list(states.root().find("universal_checkpoint_info", "parameter_with_sub_params"))) {
            List<String> regexes = regexes(each);
            if (regexes.stream().anyMatch(regex -> matches(regex, parameter))) {
                return Optional.of(regexes);
            }
        }
        return Optional.empty();
    }

    /// Python's `re.match`: from the start of the name, not to its end.
    static boolean matches(String regex, String name) {
        try {
            return java.util.regex.Pattern.compile(regex).matcher(name).lookingAt();
        } catch (java.util.regex.PatternSyntaxException _) {
            return false;
        }
    }

    /// A pattern that matches this name alone.
    static String literally(String name) {
        return name.replaceAll("([^A-Za-z0-9_])", "\\\\$1") + "$";
    }

    private static List<PickleValue> list(Optional<PickleValue> value) {
        return value.flatMap(PickleValue::asSequence).orElse(List.of());
    }

    private static Map<String, Long> numbers(ModelStates states) {
        Map<String, Long> all = new HashMap<>();
        NUMBERS.forEach(
                (word, argument) -> {
                    OptionalLong value =
                            states.root()
                                    .find("args", argument)
                                    .map(PickleValue::asLong)
                                    .orElse(OptionalLong.empty());
                    value.ifPresent(n -> all.put(word, n));
                });
        return all;
    }
}
