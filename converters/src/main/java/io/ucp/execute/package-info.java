/// Runs a copy plan: the only code that moves tensor bytes. It sees plans, readers and element
/// types, no layout.
///
/// [PlanExecutor] starts workers; each takes a target ([TargetJob]), fills its windows
/// ([WindowFiller], which gathers elements with [Gatherer] from [OpenSources]), takes checksums and
/// digests from the filled window ([Tallies]) and hands it to the [Output]. Everything happens to a
/// window while it is in the cache: no byte is read or written twice.
@NullMarked
package io.ucp.execute;

import org.jspecify.annotations.NullMarked;
