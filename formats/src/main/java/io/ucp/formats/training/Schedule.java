package io.ucp.formats.training;

import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.List;
import java.util.Optional;

/// The schedule of learning rate and weight decay as Megatron-LM and Megatron-DeepSpeed save it.
/// Both count samples.
///
/// Sources: Megatron-LM `core/optimizer_param_scheduler.py`, Megatron-DeepSpeed
/// `megatron/optimizer_param_scheduler.py` (`state_dict`).
final class Schedule {
    private static final List<String> KEYS =
            List.of(
                    "max_lr",
                    "lr_warmup_steps",
                    "num_steps",
                    "lr_decay_style",
                    "lr_decay_steps",
                    "min_lr",
                    "start_wd",
                    "end_wd",
                    "wd_incr_style",
                    "wd_incr_steps");

    /// With these a schedule counts tokens instead, which Megatron-LM has no word for.
    private static final List<String> TOKENS = List.of("lr_warmup_tokens", "lr_decay_tokens");

    private Schedule() {}

    /// @return nothing where it is another scheduler's state
    static Optional<PyDict> of(Optional<PickleValue> saved) {
        Optional<PyDict> held = saved.flatMap(PickleValue::asDict);
        boolean known =
                held.isPresent()
                        && KEYS.stream().allMatch(held.get()::has)
                        && TOKENS.stream()
                                .allMatch(
                                        k -> held.get().find(k).filter(v -> !v.isNone()).isEmpty());
        if (!known) {
            return Optional.empty();
        }
        PyDict schedule = PyDict.empty();
        for (String key : KEYS) {
            schedule = schedule.with(key, held.get().find(key).orElseThrow());
        }
        return Optional.of(schedule);
    }
}
