/// DeepSpeed's universal form: what `load_universal` reads, and what upstream's converter writes.
///
/// ```
/// latest_universal                       the folder's name, e.g. global_step3_universal
/// global_step3_universal/
///     zero/<parameter>/fp32.pt           stages 1, 2, and tensor parallelism: {cat_dim, .., param}
///     zero/<parameter>/exp_avg.pt ..     one for each state, by the optimizer's own names
///     zero/<parameter>/step.pt           a 0-d tensor (stages 1, 2 only)
///     zero/optimizer_state.pt            rank 0's optimizer dict without its shards (stages 1, 2)
///     mp_rank_00_model_states.pt ..      the model states files, unchanged
/// ```
///
/// Stage 3 without tensor parallelism differs: a state file is a bare flat tensor, whose shape only
/// `param_shapes` in the model states knows; there is no `step.pt`; `optimizer_state.pt` is the
/// whole dict of rank 0, its shards included; the model states are one file a data-parallel rank
/// (`zero_pp_rank_0_mp_rank_00_model_states.pt`). Frozen parameters, aliases and buffers have no
/// folder: they live in the model states alone.
///
/// Source: DeepSpeed `checkpoint/ds_to_universal.py`, `checkpoint/universal_checkpoint.py`,
/// `runtime/base_optimizer.py`, `runtime/zero/stage3.py`, `runtime/engine.py` (`load_checkpoint`).
@NullMarked
package io.ucp.formats.deepspeed.universal;

import org.jspecify.annotations.NullMarked;
