package io.ucp.formats.training;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// What a job of Megatron-LM's kept.
///
/// Source: Megatron-LM `training/checkpointing.py` (`generate_state_dict`).
public record MegatronJob(Map<String, List<CarriedFile>> roles) {
    static final String MODEL = "model";
    private static final String GROUPS = "param_groups";

    /// Of each rank, in a sharded checkpoint.
    static final String OBJECTS = "sharded_objects";

    private static final Set<String> TAKEN =
            Set.of(
                    "checkpoint_version",
                    "iteration",
                    "optimizer",
                    "opt_param_scheduler",
                    "content_metadata");

    TrainingState state() {
        PyDict root = first();
        Optional<PyDict> schedule = Schedule.of(root.find("opt_param_scheduler"));
        List<String> rest = new ArrayList<>();
        for (PyDict.Entry entry : root.entries()) {
            String key = entry.key().asText().orElse(entry.key().toString());
            if (!TAKEN.contains(key) && !key.matches("model\\d*") && !entry.value().isNone()) {
                rest.add(key);
            }
        }
        if (schedule.isEmpty() && root.find("opt_param_scheduler").isPresent()) {
            rest.add("opt_param_scheduler");
        }
        List<PickleValue> optimizers = optimizers(root);
        if (optimizers.stream().anyMatch(o -> o.find("grad_scaler").isPresent())) {
            rest.add("grad_scaler");
        }
        if (roles.containsKey(OBJECTS)) {
            rest.add(OBJECTS);
        }
        return new TrainingState(
                root.findLong("iteration"),
                root.findLong("args", "consumed_train_samples"),
                root.findLong("args", "consumed_valid_samples"),
                OptionalLong.empty(),
                root.findLong("args", "seq_length"),
                groups(optimizers, root.find("args", "decoupled_lr").filter(v -> !v.isNone())),
                schedule,
                rest);
    }

    private PyDict first() {
        return roles.getOrDefault(MODEL, List.of()).stream()
                .min(
                        Comparator.comparingInt((CarriedFile f) -> f.at().on("pp"))
                                .thenComparingInt(f -> f.at().on("tp"))
                                .thenComparingInt(f -> f.at().on("ep")))
                .flatMap(CarriedFile::root)
                .flatMap(PickleValue::asDict)
                .orElse(PyDict.empty());
    }

    private static List<PickleValue> optimizers(PyDict root) {
        Optional<PickleValue> held = root.find("optimizer").filter(v -> !v.isNone());
        return held.flatMap(PickleValue::asSequence)
                .orElseGet(() -> held.map(List::of).orElse(List.of()));
    }

    private static Map<Integer, PyDict> groups(
            List<PickleValue> optimizers, Optional<PickleValue> rate) {
        Map<Integer, PyDict> groups = new LinkedHashMap<>();
        for (int o = 0; o < optimizers.size(); o++) {
            PickleValue inner = optimizers.get(o).find("optimizer").orElse(optimizers.get(o));
            for (PickleValue group :
                    inner.find(GROUPS).flatMap(PickleValue::asSequence).orElse(List.of())) {
                PyDict settings = group.asDict().orElse(PyDict.empty()).without("params");
                groups.putIfAbsent(number(settings, o > 0, rate), settings);
            }
        }
        return groups;
    }

    /// The number of a group by what its settings say: 0 and 1 with and without weight decay, 2
    /// more for experts that have an optimizer of their own, 4 more for a learning rate of its own.
    ///
    /// @param rate `decoupled_lr` of the job, where it has one
    public static int number(PyDict settings, boolean experts, Optional<PickleValue> rate) {
        boolean decayed = settings.find("wd_mult").map(v -> v.asDouble().orElse(1)).orElse(1.0) > 0;
        boolean own =
                rate.isPresent()
                        && (settings.find("is_decoupled_lr")
                                        .flatMap(PickleValue::asBool)
                                        .orElse(false)
                                || settings.find("max_lr").equals(rate));
        return (experts ? 2 : 0) + (decayed ? 0 : 1) + (own ? 4 : 0);
    }
}
