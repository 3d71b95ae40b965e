/// The process beside a training job that looks after its checkpoints: protects them, copies them
/// to slow storage, and removes old ones.
///
/// It keeps no state of its own: what is done is what lies there whole under its name, so a process
/// that is killed and started again goes on where the other stopped.
@NullMarked
package io.ucp.snapshot;

import org.jspecify.annotations.NullMarked;
