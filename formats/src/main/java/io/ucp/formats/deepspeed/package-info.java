/// Checkpoints that DeepSpeed writes: one file a rank, found by name, put together from what the
/// files say of each other.
///
/// ```
/// <root>/latest                                     the tag
/// <root>/<tag>/mp_rank_{mp:02d}_model_states.pt                              stages 0, 1, 2
///             zero_pp_rank_{dp}_mp_rank_{mp:02d}_model_states.pt             stage 3
///             layer_{i:02d}-model_{tp:02d}-model_states.pt                   a pipeline's layers
///             layer_{n}_expert_{e}_mp_rank_{mp:02d}_model_states.pt          an expert, e global
///             [bf16_|fp16_]zero_pp_rank_{dp}_mp_rank_{mp:02d}_optim_states.pt
///             expp_rank_{ep}_mp_rank_{mp:02d}_optim_states.pt                experts without ZeRO
/// ```
///
/// `mp` is `pp * tp_degree + tp`; `pp` in a file's name is DeepSpeed's word for the data-parallel
/// rank. Reading goes one way: [TagFolder] (names) -> [CheckpointFiles] (every file's pickle) ->
/// [Degrees] (the mesh, and that no file is missing) -> [FlatGroups], [Weights], [Hints].
///
/// A holding's coordinate has `pp` and `tp` always, `dp` where it is one data-parallel rank's part,
/// `ep` where its name counts experts from the first of an expert-parallel rank. Experts held under
/// their global number (`layer_*_expert_*`) have no `ep`.
///
/// Source: DeepSpeed `runtime/engine.py` (names, model states), `runtime/zero/stage_1_and_2.py`,
/// `runtime/zero/stage3.py`, `runtime/bf16_optimizer.py` (optimizer states),
/// `runtime/pipe/module.py` (layers), `checkpoint/ds_to_universal.py`
/// (`universal_checkpoint_info`).
@NullMarked
package io.ucp.formats.deepspeed;

import org.jspecify.annotations.NullMarked;
