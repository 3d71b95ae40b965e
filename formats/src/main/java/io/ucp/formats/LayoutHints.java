package io.ucp.formats;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.PatternSyntaxException;

/// What a checkpoint's own metadata says of how its parameters are laid out.
///
/// @param version `universal_checkpoint_version`, absent where the key is absent: then an empty
///   list of patterns means unknown, not none
/// @param patterns in the order in which they apply: the first that matches a name decides
/// @param vocabularyRows real rows of vocabulary parameters (`original_vocab_size`)
/// @param aliases other names of a parameter that is held once: alias -> canonical name
/// @param frozen parameters without optimizer state
/// @param buffers model tensors that are not trained (`buffer_names`)
/// @param numbers what a spec may read as a constant: `heads`, `kv_heads`, `hidden`, `ffn`,
///   `layers`, `vocab`, ..
/// @param family the bundled spec that the metadata stands for; whether it fits, binding it proves
public record LayoutHints(
        Optional<String> version,
        List<Pattern> patterns,
        OptionalLong vocabularyRows,
        Map<String, String> aliases,
        Set<String> frozen,
        Set<String> buffers,
        Map<String, Long> numbers,
        Optional<String> family) {
    public static final LayoutHints NONE =
            new LayoutHints(
                    Optional.empty(),
                    List.of(),
                    OptionalLong.empty(),
                    Map.of(),
                    Set.of(),
                    Set.of(),
                    Map.of(),
                    Optional.empty());

    public LayoutHints {
        patterns = List.copyOf(patterns);
        aliases = Map.copyOf(aliases);
        frozen = Set.copyOf(frozen);
        buffers = Set.copyOf(buffers);
        numbers = Map.copyOf(numbers);
    }

    /// Where the metadata names no family.
    public LayoutHints(
            Optional<String> version,
            List<Pattern> patterns,
            OptionalLong vocabularyRows,
            Map<String, String> aliases,
            Set<String> frozen,
            Set<String> buffers,
            Map<String, Long> numbers) {
        this(
                version,
                patterns,
                vocabularyRows,
                aliases,
                frozen,
                buffers,
                numbers,
                Optional.empty());
    }

    /// Of parameters that say themselves whether they are trained, and of no ranks.
    ///
    /// @param aliases alias -> canonical name
    public static LayoutHints of(
            List<WholeParameter> wholes, Map<String, String> aliases, Map<String, Long> numbers) {
        Set<String> frozen = new HashSet<>();
        Set<String> buffers = new HashSet<>();
        for (WholeParameter whole : wholes) {
            ParameterFacts facts = whole.facts();
            if (facts.buffer()) {
                buffers.add(facts.name());
            } else if (!facts.trainable()) {
                frozen.add(facts.name());
            }
        }
        return new LayoutHints(
                Optional.empty(),
                List.of(),
                OptionalLong.empty(),
                aliases,
                frozen,
                buffers,
                numbers);
    }

    /// The same with more numbers; those that it has stay.
    public LayoutHints withNumbers(Map<String, Long> more) {
        Map<String, Long> all = new HashMap<>(more);
        all.putAll(numbers);
        return new LayoutHints(
                version, patterns, vocabularyRows, aliases, frozen, buffers, all, family);
    }

    /// The same of a model that a bundled spec is known for.
    public LayoutHints withFamily(String name) {
        return new LayoutHints(
                version,
                patterns,
                vocabularyRows,
                aliases,
                frozen,
                buffers,
                numbers,
                Optional.of(name));
    }

    /// What is left of it when parameters have other names.
    public LayoutHints withoutNames() {
        return new LayoutHints(
                Optional.empty(), List.of(), vocabularyRows, Map.of(), Set.of(), Set.of(), numbers);
    }

    /// A rule of `universal_checkpoint_info`.
    ///
    /// @param regex a Python regular expression, matched from the start of the name (prefix match)
    /// @param dim the dimension that is cut, where the kind has one
    /// @param subShape for [Kind#SUB_PARAMS]: per dimension of the parameter its extents; more than
    ///   one extent names the parts of the cut dimension (`SubparamShape.shape`, a whole parameter)
    /// @param widths for [Kind#SUB_PARAMS] from version 0.4: per part the widths of the ranks
    public record Pattern(
            Kind kind, String regex, int dim, List<List<Long>> subShape, List<List<Long>> widths) {
        /// Whether it is of this name.
        public boolean matches(String name) {
            return matches(regex, name);
        }

        /// Python's `re.match`: from the start of the name, not to its end. What is no regular
        /// expression matches none.
        public static boolean matches(String regex, String name) {
            try {
                return java.util.regex.Pattern.compile(regex).matcher(name).lookingAt();
            } catch (PatternSyntaxException _) {
                return false;
            }
        }

        /// One that is of this name alone, to its end.
        public static String literally(String name) {
            return "^" + name.replaceAll("[^\\w/-]", "\\\\$0") + "$";
        }
    }

    /// In upstream's order of precedence (`deepspeed/checkpoint/ds_to_universal.py`,
    /// `merge_tp_slices`); vocabulary and pipeline patterns are independent of the others.
    public enum Kind {
        REPLICATED_OVER_TP,
        AVERAGED_OVER_TP,
        TWO_SUB_PARAMS,
        SUB_PARAMS,
        ROW_PARALLEL,
        VOCABULARY,
        REPLICATED_OVER_PP
    }
}
