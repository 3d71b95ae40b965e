/// The chain from source files to target files: start reading here.
@NullMarked
package io.ucp.convert;

import org.jspecify.annotations.NullMarked;
