/// Checkpoints of Megatron-LM, one folder a model-parallel rank (`--ckpt-format torch`).
///
/// ```
/// <root>/latest_checkpointed_iteration.txt           the iteration, or `release`
/// <root>/iter_{iteration:07d} | release/
///     mp_rank_{tp:02d}[_{pp:03d}][_{ep:03d}]/        pp where there are stages, ep where experts are shared out
///         model_optim_rng.pt                         args, the model, a plain optimizer, schedulers, generators
///         distrib_optim.pt                           the states of a distributed optimizer
/// ```
///
/// Reading goes one way: [IterationFolder] (names) -> [RankFiles] (every file's pickle) -> [Grid]
/// (the job, by `args`) -> [ModelChunks] (tensors, numbered over the whole model) -> [Optimizers]
/// (a plain one by [PlainOptimizer], a distributed one by [DistributedOptimizer] and
/// [GradientBuffer]).
///
/// A holding's coordinate has `pp`, and `tp` or, for an expert, `ep` and `etp`. Its name counts
/// layers and experts over the whole model, in the files they count from 0 on every stage, chunk
/// and expert rank.
///
/// Source: Megatron-LM `megatron/training/checkpointing.py` (names, keys),
/// `core/optimizer/optimizer.py` (plain optimizers), `core/optimizer/distrib_optimizer.py` and
/// `core/optimizer/param_layout.py` (buffers), `core/parallel_state.py` (ranks),
/// `core/transformer/transformer_layer.py` (layers).
@NullMarked
package io.ucp.formats.megatron;

import io.ucp.formats.mcore.GradientBuffer;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.IterationFolder;

import org.jspecify.annotations.NullMarked;
