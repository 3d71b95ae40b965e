package io.ucp.io;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;

/// An open [ByteSource]. Safe for use by several threads; the opener closes it.
public interface ByteReader extends Closeable {
    /// Fills `into` (position to limit) from `offset`, in bytes from the start of the source.
    ///
    /// @throws MalformedFileException where the source ends before `into` is full
    void read(long offset, ByteBuffer into) throws IOException;
}
