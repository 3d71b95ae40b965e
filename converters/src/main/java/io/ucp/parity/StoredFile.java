package io.ucp.parity;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

/// A file of the checkpoint or of the parity, as it was when it was protected.
///
/// @param path relative to the checkpoint's folder or to the parity's, `/` between parts; never
///   leads out of it
/// @param size bytes
/// @param modified when it had been written last, in milliseconds of 1970; [#UNKNOWN] of parity and
///   in manifests that do not say
/// @param digest of the whole file, as `ucp digest` would give it of a tensor of the same bytes
record StoredFile(String path, long size, long modified, String digest, BlockDigests blocks) {
    static final long UNKNOWN = -1;

    /// Whether no file of that size is there any more, whatever its bytes are.
    ///
    /// @throws AccessDeniedException where this user may not know
    boolean isLost(Path there) throws IOException {
        try {
            BasicFileAttributes found = Files.readAttributes(there, BasicFileAttributes.class);
            return !found.isRegularFile() || found.size() != size;
        } catch (AccessDeniedException e) {
            throw e;
        } catch (IOException e) {
            return true; // not there, or its disk fails
        }
    }

    /// Whether somebody wrote what is there since, or it is not known that nobody did: damage
    /// leaves a file its time.
    boolean isWritten(Path there) throws IOException {
        return Files.exists(there) && Files.getLastModifiedTime(there).toMillis() != modified;
    }
}
