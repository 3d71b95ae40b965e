/// Which elements of a parameter each rank holds, as pieces.
@NullMarked
package io.ucp.layout;

import org.jspecify.annotations.NullMarked;
