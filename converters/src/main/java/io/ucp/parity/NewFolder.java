package io.ucp.parity;

import io.ucp.convert.FolderTree;
import io.ucp.convert.OutputExistsException;
import io.ucp.io.FileLocks;
import io.ucp.io.NativeFiles;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Objects;

/// A folder that appears whole or not at all: made in `.NAME.ucp-new` beside its final name, and
/// renamed when it is complete. One process at a time makes it; what a killed one left behind, the
/// next removes.
public final class NewFolder implements Closeable {
    private static final String OUTPUT = "output";
    private static final String LOCK = "lock";
    private static final String REPLACED = "replaced";
    private static final String SUFFIX = ".ucp-new";

    private final Path target;
    private final Path work;
    private final FileChannel lock;
    private final boolean sync;
    private final boolean replaces;

    private NewFolder(Path target, Path work, FileChannel lock, boolean sync, boolean replaces) {
        this.target = target;
        this.work = work;
        this.lock = lock;
        this.sync = sync;
        this.replaces = replaces;
    }

    /// @param sync whether everything is forced to the disk before the folder gets its name
    /// @throws OutputExistsException where `target` is there already
    /// @throws FileSystemException where another process is making it
    public static NewFolder create(Path target, boolean sync) throws IOException {
        return of(target, sync, false);
    }

    /// The same where `target` may be there: it stays until the new one is whole, and the two are
    /// exchanged at once where the system can do that.
    public static NewFolder replacing(Path target, boolean sync) throws IOException {
        return of(target, sync, true);
    }

    /// Removes what a process left that was killed when all but that was done.
    ///
    /// @throws OutputExistsException where `target` is there already
    public static void requireFree(Path target) throws IOException {
        Path absolute = target.toAbsolutePath().normalize();
        if (Files.exists(absolute, LinkOption.NOFOLLOW_LINKS)) {
            if (absolute.getParent() != null) {
                sweep(List.of(beside(absolute)));
            }
            throw new OutputExistsException(target);
        }
    }

    /// Where a folder is made before it gets its name.
    public static Path beside(Path target) {
        return target.resolveSibling(".%s%s".formatted(target.getFileName(), SUFFIX));
    }

    /// What is made there: of one that is named so, the inverse of [#beside].
    private static Path target(Path work) {
        String name = work.getFileName().toString();
        int end = Math.max(1, name.length() - SUFFIX.length());
        return work.resolveSibling(name.substring(1, end));
    }

    private static NewFolder of(Path target, boolean sync, boolean replaces) throws IOException {
        Path absolute = target.toAbsolutePath().normalize();
        if (!replaces || absolute.getParent() == null) {
            requireFree(target);
        }
        Path work = beside(absolute);
        Files.createDirectories(work);
        FileChannel lock =
                FileChannel.open(
                        work.resolve(LOCK),
                        StandardOpenOption.WRITE,
                        StandardOpenOption.CREATE,
                        LinkOption.NOFOLLOW_LINKS);
        if (!FileLocks.take(lock)) {
            lock.close();
            throw new FileSystemException(
                    target.toString(),
                    null,
                    "another process is writing it; expected one at a time\n"
                            + "hint: wait until that one has ended");
        }
        try {
            clear(work, absolute);
            if (!replaces) {
                requireFree(target); // what was being replaced may have its name back
            }
            Files.createDirectory(work.resolve(OUTPUT));
            return new NewFolder(absolute, work, lock, sync, replaces);
        } catch (IOException | RuntimeException | Error e) {
            lock.close();
            throw e;
        }
    }

    /// Removes all but the lock, by which others know that somebody is at work, and that the next
    /// may sweep. What was being replaced gets its name back where nothing has it.
    private static void clear(Path work, Path target) throws IOException {
        Path replaced = work.resolve(REPLACED);
        if (Files.exists(replaced, LinkOption.NOFOLLOW_LINKS)
                && !Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
            Files.move(replaced, target, StandardCopyOption.ATOMIC_MOVE);
        }
        FolderTree.remove(replaced);
        FolderTree.remove(work.resolve(OUTPUT));
    }

    /// Removes those of `entries` that are what a killed process left of a folder that it made;
    /// what a living one makes is left alone.
    public static void sweep(List<Path> entries) throws IOException {
        for (Path work : entries) {
            Path lock = work.resolve(LOCK);
            if (work.equals(beside(target(work)))
                    && Files.isRegularFile(lock, LinkOption.NOFOLLOW_LINKS)) {
                try (FileChannel channel = FileChannel.open(lock, StandardOpenOption.WRITE)) {
                    if (FileLocks.takeSurely(channel)) {
                        clear(work, target(work));
                        FolderTree.remove(work);
                    }
                }
            }
        }
    }

    /// Where to write until [#commit].
    public Path path() {
        return work.resolve(OUTPUT);
    }

    /// Refuses before the first byte where the disk cannot hold what is to come.
    ///
    /// @param size bytes
    public void requireSpace(long size) throws IOException {
        long free = Files.getFileStore(work).getUsableSpace();
        if (free < size) {
            throw new FileSystemException(
                    target.toString(),
                    null,
                    "no space: %,d bytes are free on this disk; expected %,d\nhint: free some room or choose another place"
                            .formatted(free, size));
        }
    }

    /// Writes a small file.
    ///
    /// @param name relative to the folder
    public void write(String name, byte[] content) throws IOException {
        Path file = path().resolve(name);
        Files.createDirectories(file.resolveSibling("."));
        try (FileChannel channel =
                FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            ByteBuffer bytes = ByteBuffer.wrap(content);
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            if (sync) {
                channel.force(true);
            }
        }
    }

    /// Gives the folder its name. Its files are forced to the disk by who wrote them.
    ///
    /// @throws OutputExistsException where something took that name meanwhile
    public void commit() throws IOException {
        if (sync) {
            FolderTree.flush(path());
        }
        boolean taken = Files.exists(target, LinkOption.NOFOLLOW_LINKS);
        if (taken && !replaces) {
            throw new OutputExistsException(target);
        }
        if (!taken || !NativeFiles.exchange(path(), target)) {
            if (taken) {
                Files.move(target, work.resolve(REPLACED), StandardCopyOption.ATOMIC_MOVE);
            }
            Files.move(path(), target, StandardCopyOption.ATOMIC_MOVE);
        }
        if (sync) {
            FolderTree.flushOne(Objects.requireNonNull(target.getParent()));
        }
    }

    /// Removes what was not committed.
    @Override
    public void close() throws IOException {
        try (lock) {
            clear(work, target);
            FolderTree.remove(work);
        }
    }
}
