/// A read-only view of a folder in which some files come from elsewhere than the disk, through the
/// JDK's own [java.nio.file.Path]: who reads files by paths need not know.
@NullMarked
package io.ucp.io.overlay;

import org.jspecify.annotations.NullMarked;
