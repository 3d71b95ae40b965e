/// A source assembled into parameters whose bytes are all accounted for.
@NullMarked
package io.ucp.checkpoint;

import org.jspecify.annotations.NullMarked;
