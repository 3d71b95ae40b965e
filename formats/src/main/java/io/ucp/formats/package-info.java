/// What a checkpoint format is: what it reads (facts, no layout) and what it writes (files made of
/// parts).
@NullMarked
package io.ucp.formats;

import org.jspecify.annotations.NullMarked;
