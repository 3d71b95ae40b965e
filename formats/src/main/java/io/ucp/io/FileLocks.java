package io.ucp.io;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.util.Optional;

/// Locks that tell whether another process is at work somewhere. They end with their channel.
public final class FileLocks {
    private FileLocks() {}

    /// Locks a file; where its file system has no locks, it is taken as it is.
    ///
    /// @return false where another process holds it
    public static boolean take(FileChannel channel) {
        return lock(channel, true);
    }

    /// Locks a file.
    ///
    /// @return false where another process holds it, or where its file system has no locks
    public static boolean takeSurely(FileChannel channel) {
        return lock(channel, false);
    }

    private static boolean lock(FileChannel channel, boolean withoutLocks) {
        try {
            Optional<FileLock> lock = Optional.ofNullable(channel.tryLock());
            return lock.isPresent();
        } catch (OverlappingFileLockException e) {
            return false;
        } catch (IOException e) {
            return withoutLocks;
        }
    }
}
