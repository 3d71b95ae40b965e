package io.ucp.formats.training;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.torch.ElementSearch;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Where a state dict of torch's has the facts of a job. torch has words for the optimizer's
/// (`get_state_dict`); a scheduler and counters are under the keys that a script gives them, and
/// under these where ucp wrote them.
///
/// Source: torch `distributed/checkpoint/state_dict.py`.
public final class StateDictKeys {
    public static final String ITERATION = "iteration";
    public static final String TRAIN_SAMPLES = "consumed_train_samples";
    public static final String VALID_SAMPLES = "consumed_valid_samples";
    public static final String SKIPPED_STEPS = "skipped_steps";
    public static final String SCHEDULE = "lr_scheduler";

    /// The role of a file of torch's that holds more than weights.
    public static final String ROLE = "state_dict";

    /// The role of a sharded checkpoint's state dict in one file, under `state_dict`, by dotted
    /// keys: a form of ucp's own, which no one loads.
    public static final String SHARDED = "sharded_state_dict";

    /// The role of a value of such a state dict that has tensors in it.
    public static final String OBJECT = "state_dict_object";

    private static final int DEEPEST = 16;

    private static final Pattern GROUP =
            Pattern.compile("(.*\\.)?param_groups\\.(\\d{1,4})\\.(.+)");
    private static final Pattern OPTIMIZER =
            Pattern.compile("(?:.*\\.)?(?:param_groups|state)\\..*");

    private static final Pattern STATE = Pattern.compile("(?:.*?\\.)?state\\.(.+)");
    private static final Pattern WRAPPERS =
            Pattern.compile(
                    "\\b(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\\.");
    private static final Pattern MEMBERS =
            Pattern.compile("(?:.*\\.)?param_groups\\.\\d{1,4}\\.(?:params|param_names)");

    private StateDictKeys() {}

    static TrainingState state(CarriedFile file) {
        Map<String, PickleValue> values = values(file);
        Map<String, PickleValue> scheduler = new LinkedHashMap<>();
        values.forEach(
                (key, value) -> {
                    if (key.startsWith(SCHEDULE + ".")) {
                        scheduler.put(key.substring(SCHEDULE.length() + 1), value);
                    }
                });
        Optional<PyDict> schedule = Schedule.of(Optional.of(PyDict.of(scheduler)));
        Set<String> rest = new LinkedHashSet<>();
        values.forEach(
                (key, value) -> {
                    boolean taken =
                            OPTIMIZER.matcher(key).matches()
                                    || (isGroups(key) && !groups(values).isEmpty())
                                    || (schedule.isPresent() && key.startsWith(SCHEDULE + "."))
                                    || (isCounter(key) && value.asLong().isPresent())
                                    || isParameter(file, value);
                    if (!taken) {
                        rest.add(key);
                    }
                });
        return new TrainingState(
                number(values, ITERATION),
                number(values, TRAIN_SAMPLES),
                number(values, VALID_SAMPLES),
                number(values, SKIPPED_STEPS),
                OptionalLong.empty(),
                groups(values),
                schedule,
                new ArrayList<>(rest));
    }

    /// The keys of a carried state dict under which something else than a parameter or one of its
    /// states is, for a target that keeps parameters alone. What only names parameters is left out.
    public static List<String> besideParameters(CarriedFile file, List<ParameterFacts> parameters) {
        Set<String> scalars = new HashSet<>();
        for (ParameterFacts p : parameters) {
            p.scalars().keySet().forEach(state -> scalars.add(unwrapped(p.name()) + "." + state));
        }
        List<String> keys = new ArrayList<>();
        values(file)
                .forEach(
                        (key, value) -> {
                            Matcher state = STATE.matcher(key);
                            boolean held =
                                    isParameter(file, value)
                                            || MEMBERS.matcher(key).matches()
                                            || (state.matches()
                                                    && scalars.contains(unwrapped(state.group(1))));
                            if (!held) {
                                keys.add(key);
                            }
                        });
        return keys;
    }

    /// The optimizer's names may have other wrappers than the model's.
    private static String unwrapped(String name) {
        return WRAPPERS.matcher(name).replaceAll("");
    }

    /// A checkpoint of one file has its dicts in one another, a sharded one dotted keys.
    private static Map<String, PickleValue> values(CarriedFile file) {
        Map<String, PickleValue> values = new LinkedHashMap<>();
        boolean sharded = file.roleBefore().equals(SHARDED);
        file.root()
                .flatMap(r -> sharded ? r.find("state_dict") : Optional.of(r))
                .flatMap(PickleValue::asDict)
                .ifPresent(d -> flatten("", d, values, 0, new ElementSearch()));
        return values;
    }

    private static void flatten(
            String prefix,
            PyDict dict,
            Map<String, PickleValue> into,
            int depth,
            ElementSearch search) {
        for (PyDict.Entry entry : dict.entries()) {
            String key = prefix + entry.key().asText().orElse(entry.key().toString());
            Optional<PyDict> inner =
                    depth < DEEPEST && TensorPickles.read(entry.value()).isEmpty()
                            ? entry.value().asDict()
                            : Optional.empty();
            if (inner.isPresent() && search.enters(entry.value())) {
                flatten(key + ".", inner.get(), into, depth + 1, search);
            } else {
                into.put(key, entry.value());
            }
        }
    }

    /// Steps done by the optimizer, where a state dict has ucp's own word for it.
    public static OptionalLong iteration(Map<String, PickleValue> values) {
        return number(values, ITERATION);
    }

    private static boolean isGroups(String key) {
        return key.equals("param_groups") || key.endsWith(".param_groups");
    }

    private static boolean isCounter(String key) {
        return Set.of(ITERATION, TRAIN_SAMPLES, VALID_SAMPLES, SKIPPED_STEPS).contains(key);
    }

    private static boolean isParameter(CarriedFile file, PickleValue value) {
        return TensorPickles.read(value)
                .map(t -> file.storages().get(t.storageKey()))
                .filter(s -> s.content().stream().anyMatch(Content.Elements.class::isInstance))
                .isPresent();
    }

    private static OptionalLong number(Map<String, PickleValue> values, String key) {
        PickleValue value = values.get(key);
        return value == null ? OptionalLong.empty() : value.asLong();
    }

    /// Of the one optimizer; of several, which is whose no key says.
    private static Map<Integer, PyDict> groups(Map<String, PickleValue> values) {
        Map<String, Map<Integer, PyDict>> optimizers = new HashMap<>();
        values.forEach(
                (key, value) -> {
                    Matcher group = GROUP.matcher(key);
                    if (group.matches() && !group.group(3).startsWith("param")) {
                        optimizers
                                .computeIfAbsent(
                                        group.group(1) == null ? "" : group.group(1),
                                        _ -> new LinkedHashMap<>())
                                .merge(
                                        Integer.parseInt(group.group(2)),
                                        PyDict.empty().with(group.group(3), value),
                                        (held, more) -> held.with(group.group(3), value));
                    }
                    Optional<List<PickleValue>> whole =
                            isGroups(key) ? value.asSequence() : Optional.empty();
                    if (whole.isPresent()) {
                        Map<Integer, PyDict> each = new LinkedHashMap<>();
                        for (PickleValue g : whole.get()) {
                            each.put(
                                    each.size(),
                                    g.asDict()
                                            .orElse(PyDict.empty())
                                            .without("params")
                                            .without("param_names"));
                        }
                        optimizers.put(key, each);
                    }
                });
        return optimizers.size() == 1 ? optimizers.values().iterator().next() : Map.of();
    }
}
