package io.ucp.formats.dcp;

import io.ucp.formats.torch.pickle.PickleValue;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.Function;

/// What an optimizer's `param_groups` say of its parameters.
///
/// @param members name of a weight -> number of its group, where `params` (or `param_names`) has
///   names
/// @param numbers number of a weight, in decimal -> its name, where `params` and `param_names`
///   stand side by side
record Groups(Map<String, Integer> members, Map<String, String> numbers) {
    /// @param optimizer its keys begin so
    static Groups of(
            String optimizer,
            Collection<String> keys,
            Function<String, Optional<PickleValue>> objects) {
        Map<String, Integer> members = new LinkedHashMap<>();
        Map<String, String> numbers = new HashMap<>();
        String root = optimizer + "param_groups";
        // One object, as torch before 2.4 kept it, or the fields of each group apart.
        List<PickleValue> whole =
                keys.contains(root)
                        ? objects.apply(root).flatMap(PickleValue::asSequence).orElse(List.of())
                        : List.of();
        for (int g = 0; g < whole.size(); g++) {
            add(g, whole.get(g).find("params"), whole.get(g).find("param_names"), members, numbers);
        }
        for (int g = 0; ; g++) {
            String group = String.format(Locale.ROOT, "%s.%d.", root, g);
            if (!keys.contains(group + "params")) {
                break;
            }
            add(
                    g,
                    objects.apply(group + "params"),
                    objects.apply(group + "param_names"),
                    members,
                    numbers);
        }
        return new Groups(members, numbers);
    }

    private static void add(
            int group,
            Optional<PickleValue> params,
            Optional<PickleValue> names,
            Map<String, Integer> members,
            Map<String, String> numbers) {
        List<PickleValue> listed =
                params.flatMap(PickleValue::asSequence).orElse(new ArrayList<>());
        List<PickleValue> named = names.flatMap(PickleValue::asSequence).orElse(List.of());
        for (int i = 0; i < listed.size(); i++) {
            Optional<String> name = listed.get(i).asText();
            if (name.isEmpty() && named.size() == listed.size()) {
                name = named.get(i).asText();
                OptionalLong number = listed.get(i).asLong();
                if (name.isPresent() && number.isPresent()) {
                    numbers.put(Long.toString(number.getAsLong()), name.get());
                }
            }
            name.ifPresent(n -> members.put(n, group));
        }
    }

    /// The weight of this number.
    Optional<String> named(String number) {
        return Optional.ofNullable(numbers.get(number));
    }
}
