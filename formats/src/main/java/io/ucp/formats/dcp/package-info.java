/// Checkpoints of `torch.distributed.checkpoint` (FSDP1, FSDP2, tensor parallel, plain), read and
/// written.
///
/// A state dict is nested: the model's under one key, an optimizer's (`state`, `param_groups`)
/// under another; the file has it flat, keys joined with `.`, with each key's path beside it. What
/// belongs to what is read from these paths and from names ([Keys]); chunks are boxes of whole
/// tensors, so nothing else is needed to read any sharding. [RankGrid] is how torch cuts a tensor
/// over a mesh: it explains the chunks that are found and makes those that are written.
///
/// Source: torch `distributed/checkpoint/` (`default_planner.py`, `_nested_dict.py`,
/// `_dedup_save_plans.py`, `state_dict.py`), `distributed/tensor/placement_types.py`,
/// `distributed/fsdp/_fully_shard/_fsdp_param.py`.
@NullMarked
package io.ucp.formats.dcp;

import org.jspecify.annotations.NullMarked;
