package io.ucp.io;

import java.io.IOException;
import java.nio.file.Path;

/// Bytes that can be read at any offset: a file, or the uncompressed view of one. A value; opening
/// it costs a file handle, naming it nothing.
public interface ByteSource {
    /// The file behind it, for messages.
    Path path();

    /// Bytes.
    long size();

    /// @throws java.nio.file.NoSuchFileException where the file has gone
    ByteReader open() throws IOException;
}
