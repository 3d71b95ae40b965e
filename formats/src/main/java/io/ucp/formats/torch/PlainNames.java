package io.ucp.formats.torch;

import io.ucp.formats.IncompleteCheckpointException;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;

/// Names of a state dict without what wrappers of modules put in them. Three wrappers have parts
/// that no module else is called by, wherever they are; `module`, a common name, is one where every
/// name begins with it.
///
/// Source: torch `_dynamo/eval_frame.py` (`OptimizedModule`), `distributed/fsdp/_common_utils.py`
/// (`FSDP_WRAPPED_MODULE`), `distributed/algorithms/_checkpoint/checkpoint_wrapper.py`
/// (`_CHECKPOINT_WRAPPED_MODULE`), `nn/parallel/distributed.py`.
///
/// @param plain name as saved -> name without wrappers
/// @param removed the wrappers' parts
/// @param saved name without wrappers -> name as saved
public record PlainNames(
        Map<String, String> plain, Set<String> removed, Map<String, String> saved) {
    private static final Set<String> WRAPPERS =
            Set.of("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module");
    private static final String DATA_PARALLEL = "module.";

    /// What FSDP calls the parameters of a module that it keeps end to end in one.
    private static final String FLAT = "_flat_param";

    /// @param saved the names of one model
    public static PlainNames of(Collection<String> saved) {
        TreeSet<String> removed = new TreeSet<>();
        Map<String, String> plain = new LinkedHashMap<>();
        for (String name : saved) {
            plain.put(name, unwrapped(name, removed));
        }
        while (!plain.isEmpty() && plain.values().stream().allMatch(PlainNames::isOfDataParallel)) {
            removed.add("module");
            plain.replaceAll((_, name) -> name.substring(DATA_PARALLEL.length()));
        }
        Map<String, String> back = new HashMap<>();
        plain.forEach((name, without) -> back.putIfAbsent(without, name));
        return new PlainNames(plain, removed, back);
    }

    private static String unwrapped(String name, Set<String> removed) {
        List<String> parts = new ArrayList<>(Arrays.asList(name.split("\\.", -1)));
        for (int i = parts.size() - 2; i >= 0; i--) {
            if (WRAPPERS.contains(parts.get(i))) {
                removed.add(parts.remove(i));
            }
        }
        return String.join(".", parts);
    }

    private static boolean isOfDataParallel(String name) {
        return name.startsWith(DATA_PARALLEL) && name.length() > DATA_PARALLEL.length();
    }

    /// Whether a name is of a parameter in which FSDP keeps many, whose names and shapes only the
    /// job knows.
    public static boolean isFlat(String name) {
        return name.equals(FLAT) || name.endsWith("." + FLAT);
    }

    /// The name as saved of what another state dict of the job, such as the optimizer's, calls so,
    /// with wrappers of its own or without.
    public Optional<String> find(String name) {
        if (plain.containsKey(name)) {
            return Optional.of(name);
        }
        String other = unwrapped(name, new TreeSet<>());
        while (!saved.containsKey(other) && isOfDataParallel(other)) {
            other = other.substring(DATA_PARALLEL.length());
        }
        return Optional.ofNullable(saved.get(other));
    }

    /// @param place the file or folder
    /// @param shown name as saved -> name to say in an error
    /// @throws IncompleteCheckpointException where two names become one
    public void requireApart(String place, Function<String, String> shown)
            throws IncompleteCheckpointException {
        for (Map.Entry<String, String> each : plain.entrySet()) {
            String other = saved.getOrDefault(each.getValue(), each.getKey());
            if (!other.equals(each.getKey())) {
                throw new IncompleteCheckpointException(
                        place,
                        "'%s' and '%s' are both '%s' without %s"
                                .formatted(
                                        shown.apply(other),
                                        shown.apply(each.getKey()),
                                        each.getValue(),
                                        String.join(", ", removed)),
                        "names that stay apart",
                        "save the state dict of the module inside the wrappers");
            }
        }
    }

    /// What a report says where there are such names.
    public static Optional<String> told(Collection<String> removed) {
        return removed.isEmpty()
                ? Optional.empty()
                : Optional.of(
                        "names are read without %s, which wrappers of modules put in them"
                                .formatted(
                                        removed.stream()
                                                .sorted()
                                                .map(part -> part + ".")
                                                .collect(Collectors.joining(", "))));
    }
}
