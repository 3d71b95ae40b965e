/// What is known of a job of Megatron-LM whatever the format of its checkpoint: names and their
/// order, `args`, ranks, groups and settings of the optimizer, gradient buffers, and what a new job
/// gets of all this. Shared by the formats that Megatron-LM has.
///
/// Source: Megatron-LM `megatron/training/arguments.py`, `core/parallel_state.py`,
/// `core/transformer/`, `core/optimizer/`.
@NullMarked
package io.ucp.formats.mcore;

import org.jspecify.annotations.NullMarked;
