/// The files of a rank-sharded DeepSpeed checkpoint for a job other than the one that wrote the
/// source: `WriteRequest` with a `TargetJob` in, a `TargetTree` out, no tensor data read.
///
/// ```
/// SourceFiles    the source's own files, whose trees are the new ones' models
/// Held           what one rank holds of a parameter
/// FlatParts      how DeepSpeed lays parameters end to end and cuts them over data-parallel ranks
/// ModelStates, OptimizerStates, LayerFiles   one kind of file each
/// RankedTree     all of them, and the pointers
/// ```
///
/// How every file is laid out, with the DeepSpeed source that each rule follows, is in
/// `docs/deepspeed-layout.md`.
@NullMarked
package io.ucp.formats.deepspeed.writing;

import org.jspecify.annotations.NullMarked;
