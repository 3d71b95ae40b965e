/// Axes, degrees and ranks of a job.
@NullMarked
package io.ucp.mesh;

import org.jspecify.annotations.NullMarked;
