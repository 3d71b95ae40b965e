/// Checkpoints of Megatron-LM that no rank owns (`--ckpt-format torch_dist`).
///
/// ```
/// <root>/latest_checkpointed_iteration.txt      the iteration, or `release`
/// <root>/iter_{iteration:07d} | release/
///     .metadata, __{rank}_{n}.distcp            torch's distributed container (formats.distcp)
///     metadata.json                             {"sharded_backend": "torch_dist", ..version: 1}
///     common.pt                                 what every rank has, until July 2026
///
/// keys of tensors
///   decoder.layers.self_attention.linear_qkv.weight    [layers, rows, columns]: equal layers are
///                                                      stacked, a chunk has one
///   decoder.layers.mlp.experts.experts.linear_fc1.weight   [layers, experts, rows, columns]
///   optimizer.state.{param | fp32_param}.KEY           the fp32 master; of the same shape
///   optimizer.state.{exp_avg, exp_avg_sq, ..}.KEY
/// keys of objects, each a pickled list of one
///   common_state/shard_0_1                             what common.pt was
///   rng_state/shard_{pp}.{tp}_{PP}.{TP}
///   rerun_state_machine_state/shard_{rank}_{world}
///   MODULE._extra_state/shard_{layer}_{layers}
/// ```
///
/// Three forms of a distributed optimizer are read: whole states (`fully_reshardable`, which is
/// what is written), flat stretches of whole states (`fully_sharded_model_space`, [ModelSpace]) and
/// gradient buffers (`dp_reshardable`, [Buckets]).
///
/// Reading: [DistFiles] (what `.metadata` and the common state say) -> [StackedKey] (parameters of
/// a key) -> [DistIndex]. Writing: [DistKeys] (the keys of a state) -> [DistTree].
///
/// Source: Megatron-LM `core/dist_checkpointing/` (`strategies/torch.py`, `mapping.py`),
/// `training/checkpointing.py`, `core/transformer/transformer_block.py` (stacked layers),
/// `core/models/gpt/gpt_layer_specs.py` (names of norms), `core/optimizer/distrib_optimizer.py`.
@NullMarked
package io.ucp.formats.megatrondist;

import org.jspecify.annotations.NullMarked;
