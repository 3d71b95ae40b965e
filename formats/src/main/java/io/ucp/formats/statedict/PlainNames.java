package io.ucp.formats.statedict;

import io.ucp.formats.IncompleteCheckpointException;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/// Names without what wrappers of modules put in them. Three wrappers have parts that no module
/// else is called by, wherever they are; `module`, a common name, is one where every name begins
/// with it.
///
/// Source: torch `_dynamo/eval_frame.py` (`OptimizedModule`), `distributed/fsdp/_common_utils.py`
/// (`FSDP_WRAPPED_MODULE`), `distributed/algorithms/_checkpoint/checkpoint_wrapper.py`
/// (`_CHECKPOINT_WRAPPED_MODULE`), `nn/parallel/distributed.py`.
///
/// @param plain name as saved -> name without wrappers
/// @param removed the wrappers' parts
record PlainNames(Map<String, String> plain, Set<String> removed) {
    private static final Set<String> WRAPPERS =
            Set.of("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module");
    private static final String DATA_PARALLEL = "module.";

    /// @throws IncompleteCheckpointException where two names become one
    static PlainNames of(Path file, Collection<String> saved) throws IncompleteCheckpointException {
        TreeSet<String> removed = new TreeSet<>();
        Map<String, String> plain = new LinkedHashMap<>();
        for (String name : saved) {
            List<String> parts = new ArrayList<>(Arrays.asList(name.split("\\.", -1)));
            parts.removeIf(part -> WRAPPERS.contains(part) && removed(part, removed));
            plain.put(name, String.join(".", parts));
        }
        while (!plain.isEmpty() && plain.values().stream().allMatch(PlainNames::isOfDataParallel)) {
            removed.add("module");
            plain.replaceAll((_, name) -> name.substring(DATA_PARALLEL.length()));
        }
        Map<String, String> before = new LinkedHashMap<>();
        for (Map.Entry<String, String> each : plain.entrySet()) {
            String other = before.put(each.getValue(), each.getKey());
            if (other != null) {
                throw new IncompleteCheckpointException(
                        file.toString(),
                        "'%s' and '%s' are both '%s' without %s"
                                .formatted(
                                        other,
                                        each.getKey(),
                                        each.getValue(),
                                        String.join(", ", removed)),
                        "names that stay apart",
                        "save the state dict of the module inside the wrappers");
            }
        }
        return new PlainNames(plain, removed);
    }

    private static boolean removed(String part, Set<String> removed) {
        removed.add(part);
        return true;
    }

    private static boolean isOfDataParallel(String name) {
        return name.startsWith(DATA_PARALLEL) && name.length() > DATA_PARALLEL.length();
    }

    /// `_orig_mod. and module.`.
    String said() {
        return removed.stream().map(part -> part + ".").collect(Collectors.joining(", "));
    }
}
