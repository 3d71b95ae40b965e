/// A spec met with a checkpoint: every rule resolved, every parameter laid out.
@NullMarked
package io.ucp.bind;

import org.jspecify.annotations.NullMarked;
