/// Bounds-checked reads of source files, and the errors that name a file and a byte.
@NullMarked
package io.ucp.io;

import org.jspecify.annotations.NullMarked;
