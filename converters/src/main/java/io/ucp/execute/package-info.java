/// Runs a plan. Sees plans, byte sources and tensor words only.
@NullMarked
package io.ucp.execute;

import org.jspecify.annotations.NullMarked;
