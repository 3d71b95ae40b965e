package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.LayoutHints;
import io.ucp.formats.torch.pickle.PickleValue;

import java.util.List;
import java.util.Optional;

/// What writing needs of the model states of the source, by their object alone: their file may be
/// gone.
record SavedMetadata(PickleValue root) {
    private static final String INFO = "universal_checkpoint_info";

    /// The optimizer's groups where it is not ZeRO's (stage 0): the engine then keeps its dict
    /// here, or a wrapper's around it.
    Optional<PickleValue> paramGroups() {
        return root.find("optimizer", "param_groups")
                .or(() -> root.find("optimizer", "optimizer_state_dict", "param_groups"))
                .or(() -> root.find("optimizer", "base_optimizer_state", "param_groups"));
    }

    /// `SubparamShape.patterns` of the entry that describes this parameter: every pattern of the
    /// entry, as upstream keeps them.
    Optional<List<String>> subParamPatterns(String parameter) {
        for (PickleValue each : list(root.find(INFO, "parameter_with_sub_params"))) {
            List<String> patterns =
                    list(each.find("patterns")).stream().flatMap(p -> p.asText().stream()).toList();
            if (patterns.stream()
                    .anyMatch(pattern -> LayoutHints.Pattern.matches(pattern, parameter))) {
                return Optional.of(patterns);
            }
        }
        return Optional.empty();
    }

    /// A pattern that matches this name alone.
    static String literally(String name) {
        return name.replaceAll("([^A-Za-z0-9_])", "\\\\$1") + "$";
    }

    private static List<PickleValue> list(Optional<PickleValue> value) {
        return value.flatMap(PickleValue::asSequence).orElse(List.of());
    }
}
