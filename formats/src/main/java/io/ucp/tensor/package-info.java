/// The words that every module shares about tensors: dtype, shape, piece, transfer, digest. No I/O.
@NullMarked
package io.ucp.tensor;

import org.jspecify.annotations.NullMarked;
