/// The job as a grid of ranks: ordered axes with degrees, coordinates, products of axes.
@NullMarked
package io.ucp.mesh;

import org.jspecify.annotations.NullMarked;
