package io.ucp.formats.training;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyObject;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// What a job of DeepSpeed's kept, with what Megatron-DeepSpeed's script saves beside it.
///
/// Sources: DeepSpeed `runtime/engine.py` (`_save_checkpoint`); Megatron-DeepSpeed
/// `megatron/checkpointing.py` (`save_checkpoint`).
public record DeepSpeedJob(Map<String, List<CarriedFile>> roles) {
    /// In the client state of a job that ucp made, for what DeepSpeed itself has no word:
    public static final String TRAIN_SAMPLES = "consumed_train_samples";

    public static final String VALID_SAMPLES = "consumed_valid_samples";
    public static final String SCHEDULE = "opt_param_scheduler";

    /// Sizes of the model, by the names that specs have for them.
    public static final String NUMBERS = "model_numbers";

    static final String MODEL = "model_states";
    static final String OPTIMIZER = "optimizer";

    /// `zero/optimizer_state.pt` of the universal form.
    static final String COMMON = "optimizer_state";

    private static final String STATES = "optimizer_state_dict";
    private static final String GROUPS = "param_groups";

    /// The model and how it was cut; or what is among the facts.
    private static final Set<String> TAKEN =
            Set.of(
                    "module",
                    "buffer_names",
                    "optimizer",
                    "param_shapes",
                    "frozen_param_shapes",
                    "shared_params",
                    "frozen_param_fragments",
                    "sparse_tensor_module_names",
                    "csr_tensor_module_names",
                    "skipped_steps",
                    "global_steps",
                    "global_samples",
                    "dp_world_size",
                    "mp_world_size",
                    "num_experts",
                    "checkpoint_parallel_dimensions",
                    "ds_version",
                    "universal_checkpoint_info",
                    "checkpoint_version",
                    "iteration",
                    TRAIN_SAMPLES,
                    VALID_SAMPLES,
                    SCHEDULE,
                    NUMBERS);

    /// Of a configuration, what the state itself says.
    private static final Set<String> SAID =
            Set.of("zero_optimization", "bf16", "fp16", "data_types");

    TrainingState state() {
        PyDict root = dict(of(MODEL));
        Optional<PyDict> schedule =
                Schedule.of(root.find("lr_scheduler")).or(() -> Schedule.of(root.find(SCHEDULE)));
        List<String> rest = new ArrayList<>();
        for (PyDict.Entry entry : root.entries()) {
            String key = entry.key().asText().orElse(entry.key().toString());
            boolean scheduled = key.equals("lr_scheduler") && schedule.isPresent();
            boolean said =
                    key.equals("ds_config")
                            && entry
                                    .value()
                                    .asDict()
                                    .map(PyDict::entries)
                                    .orElse(List.of())
                                    .stream()
                                    .allMatch(e -> SAID.contains(e.key().asText().orElse("")));
            if (!TAKEN.contains(key) && !entry.value().isNone() && !scheduled && !said) {
                rest.add(key);
            }
        }
        if (scales()) {
            rest.add("loss_scaler");
        }
        return new TrainingState(
                first(root.findLong("iteration"), root.findLong("global_steps")),
                first(
                        root.findLong("args", TRAIN_SAMPLES),
                        root.findLong(TRAIN_SAMPLES),
                        root.findLong("global_samples")),
                first(root.findLong("args", VALID_SAMPLES), root.findLong(VALID_SAMPLES)),
                root.findLong("skipped_steps"),
                root.findLong("args", "seq_length"),
                groups(root),
                schedule,
                rest);
    }

    private CarriedFile of(String role) {
        return roles.getOrDefault(role, List.of()).stream()
                .min(
                        Comparator.comparingInt((CarriedFile f) -> f.at().on("pp"))
                                .thenComparingInt(f -> f.at().on("tp"))
                                .thenComparingInt(f -> f.at().on("dp")))
                .orElseThrow();
    }

    private Optional<PyDict> held(String role) {
        return roles.containsKey(role) ? Optional.of(dict(of(role))) : Optional.empty();
    }

    private static PyDict dict(CarriedFile file) {
        return file.root().flatMap(PickleValue::asDict).orElse(PyDict.empty());
    }

    private static OptionalLong first(OptionalLong... numbers) {
        return Arrays.stream(numbers)
                .filter(OptionalLong::isPresent)
                .findFirst()
                .orElse(OptionalLong.empty());
    }

    /// A scale that moves; one that stays is as good as none.
    private boolean scales() {
        return held(OPTIMIZER)
                .flatMap(r -> r.find(STATES, "loss_scaler"))
                .filter(PyObject.class::isInstance)
                .flatMap(s -> ((PyObject) s).attributes())
                .flatMap(a -> a.find("dynamic"))
                .filter(new PyBool(true)::equals)
                .isPresent();
    }

    private Map<Integer, PyDict> groups(PyDict model) {
        Optional<PickleValue> held =
                held(OPTIMIZER)
                        .flatMap(
                                r ->
                                        r.find(STATES, "base_optimizer_state", GROUPS)
                                                .or(() -> r.find(STATES, STATES, GROUPS)))
                        .or(() -> held(COMMON).flatMap(r -> r.find(GROUPS)))
                        .or(
                                () ->
                                        model.find("optimizer", GROUPS)
                                                .or(() -> model.find("optimizer", STATES, GROUPS)));
        Map<Integer, PyDict> groups = new LinkedHashMap<>();
        for (PickleValue group : held.flatMap(PickleValue::asSequence).orElse(List.of())) {
            groups.put(groups.size(), group.asDict().orElse(PyDict.empty()).without("params"));
        }
        return groups;
    }
}
