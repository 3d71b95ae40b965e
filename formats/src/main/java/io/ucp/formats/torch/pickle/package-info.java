/// Pickles as trees of data: read and written, never run.
@NullMarked
package io.ucp.formats.torch.pickle;

import org.jspecify.annotations.NullMarked;
