/// Which elements of a parameter each rank holds. A [Layout] is one step along one axis of the
/// mesh; a [Chain] applies steps in order, each to the [Region] that the step before leaves; a
/// region lowers to strided pieces. [FlatCut] is what data parallelism does to shards that lie
/// flat.
@NullMarked
package io.ucp.layout;

import org.jspecify.annotations.NullMarked;
