/// The universal checkpoint language: from source text to a located, immutable `Spec`. Knows no
/// tensor and no file.
@NullMarked
package io.ucp.lang;

import org.jspecify.annotations.NullMarked;
