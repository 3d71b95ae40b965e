package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyText;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// What `zero/optimizer_state.pt` holds: the optimizer's hyperparameters and counters, once for all
/// ranks.
///
/// Source: DeepSpeed `checkpoint/ds_to_universal.py` (`_save_optimizer_state`,
/// `_save_optimizer_state_stage3`), `checkpoint/zero_checkpoint.py` (`_update_partition_count`,
/// `_clear_group_paddings`); for the keys that loading needs, `runtime/base_optimizer.py`
/// (`load_hp_checkpoint_state_from_checkpoint_dir`), `runtime/zero/stage_1_and_2.py`
/// (`_load_global_state`).
final class OptimizerState {
    private static final String PARAM_GROUPS = "param_groups";
    private static final String BASE = "base_optimizer_state";
    private static final List<String> SHARDED =
            List.of(BASE, "param_slice_mappings", "single_partition_of_fp32_groups");

    private OptimizerState() {}

    /// The groups of a rank's optimizer file; none where upstream finds none.
    static Optional<PickleValue> groups(CarriedFile optimizer, boolean stage3) {
        return optimizer
                .root()
                .flatMap(root -> root.find("optimizer_state_dict"))
                .flatMap(s -> s.find(stage3 ? "optimizer_state_dict" : BASE, PARAM_GROUPS));
    }

    /// Made of rank 0's optimizer file: stages 1 and 2 leave its shards out, stage 3 keeps them. Of
    /// stages 1 and 2 upstream writes that no group is padded, and that each is cut over all `dp`
    /// ranks, those of experts too.
    ///
    /// @param dp data-parallel ranks
    /// @throws RefusedException where it lacks the groups that upstream looks for
    static PyDict ofRankZero(CarriedFile optimizer, boolean stage3, int dp) {
        Optional<PickleValue> states =
                optimizer.root().flatMap(root -> root.find("optimizer_state_dict"));
        Optional<PickleValue> groups = groups(optimizer, stage3);
        if (groups.isEmpty()) {
            throw new RefusedException(
                    optimizer.path(),
                    "there is no optimizer_state_dict with %s.%s"
                            .formatted(stage3 ? "optimizer_state_dict" : BASE, PARAM_GROUPS),
                    "the optimizer state of ZeRO stage " + (stage3 ? "3" : "1 or 2"),
                    "elastic checkpoints and other wrappers have no universal form upstream;"
                            + " --to universal keeps everything");
        }
        PyDict kept = states.flatMap(PickleValue::asDict).orElseThrow();
        if (!stage3) {
            for (String key : SHARDED) {
                kept = kept.without(key);
            }
            kept = each(each(kept, "partition_count", dp), "group_paddings", 0);
        }
        return kept.with(PARAM_GROUPS, groups.get());
    }

    /// With one number for every group that a key has a number for.
    private static PyDict each(PyDict state, String key, long number) {
        int groups = state.find(key).flatMap(PickleValue::asSequence).map(List::size).orElse(0);
        return groups == 0
                ? state
                : state.with(key, PyList.of(Collections.nCopies(groups, PyInt.of(number))));
    }

    /// The least that DeepSpeed loads, for a source that has no such state: a loading job goes
    /// through as many groups as there are here, and takes their hyperparameters; `params` it
    /// skips.
    ///
    /// @param groups the optimizer groups of the source where it has any; empty to have one for
    ///   each group of the parameters
    static PyDict plain(List<ParameterFacts> trained, Optional<PickleValue> groups) {
        Map<String, PickleValue> state = new LinkedHashMap<>();
        state.put("ds_version", PyText.of(PlainModelStates.DS_VERSION));
        state.put(PARAM_GROUPS, groups.orElseGet(() -> emptyGroups(trained)));
        return PyDict.of(state);
    }

    private static PyList emptyGroups(List<ParameterFacts> trained) {
        int count =
                Math.max(1, 1 + trained.stream().mapToInt(p -> p.optimizerGroup()).max().orElse(0));
        List<PickleValue> groups = new ArrayList<>();
        for (int g = 0; g < count; g++) {
            groups.add(PyDict.of(Map.of("params", PyList.of(PyInt.of(g)))));
        }
        return PyList.of(groups);
    }
}
