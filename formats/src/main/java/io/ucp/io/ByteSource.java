package io.ucp.io;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/// Bytes that can be read at any offset: a file, or the uncompressed view of one. A value; opening
/// it costs a file handle, naming it nothing.
public interface ByteSource {
    /// The file behind it, for messages.
    Path path();

    /// Bytes.
    long size();

    /// What the file was before anything of it was read, so that one that is another when its bytes
    /// are copied is noticed; absent where nothing looked.
    default Optional<FileStamp> stamp() {
        return Optional.empty();
    }

    /// @throws java.nio.file.NoSuchFileException where the file has gone
    ByteReader open() throws IOException;
}
