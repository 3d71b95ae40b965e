/// What a job of training kept apart from its parameters, whichever framework wrote it: settings of
/// the optimizer's groups, the schedule, what was counted. Read from carried files by their roles,
/// so that another framework's checkpoint can say the same in its own words; what no other
/// framework has a word for is named, and its target tells it as lost.
///
/// ```
/// DeepSpeed       mp_rank_00_model_states.pt, the first optimizer file
/// Megatron-LM     model_optim_rng.pt of the first rank, common state of a sharded checkpoint
/// a state dict    `optim.param_groups`, and the keys that [StateDictKeys] names
/// ```
///
/// Which fact is which, with the sources of the frameworks: `docs/crossing.md`.
@NullMarked
package io.ucp.formats.training;

import org.jspecify.annotations.NullMarked;
