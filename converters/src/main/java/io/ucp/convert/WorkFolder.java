package io.ucp.convert;

import io.ucp.formats.RefusedException;
import io.ucp.io.FileLocks;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// The folder `.out.ucp` in which `out` is made, held by one process at a time.
///
/// ```
/// lock       locked while a process is at work here
/// job.json   which job it is ([JobRecord])
/// journal    which windows are written ([io.ucp.execute.Journal])
/// output     what becomes `out`; what `out` was, where the two were exchanged
/// commit     the inode of `output`: all of it is on the disk, and it is being renamed
/// replaced   what `out` was before (--overwrite), until it is removed
/// ```
final class WorkFolder implements Closeable {
    private static final String LOCK = "lock";

    /// In the order in which they go: as long as there is anything to tidy up, the last two tell
    /// whose it is.
    private static final List<String> NAMES =
            List.of("replaced", "output", "journal", "job.new", "commit", "job.json", LOCK);

    private final Path target;
    private final Path path;
    private final FileChannel lock;
    private final boolean created;

    private WorkFolder(Path target, FileChannel lock, boolean created) {
        this.target = target;
        this.path = beside(target);
        this.lock = lock;
        this.created = created;
    }

    static Path beside(Path target) {
        return target.resolveSibling(".%s.ucp".formatted(target.getFileName()));
    }

    /// Makes the folder or takes it over.
    ///
    /// @throws LeftoverException where another process is at work in it
    static WorkFolder take(Path target) throws IOException {
        Path path = beside(target);
        boolean created = true;
        try {
            Files.createDirectory(path);
        } catch (FileAlreadyExistsException e) {
            created = false;
            requireOurs(path);
        }
        FileChannel lock =
                FileChannel.open(
                        path.resolve(LOCK),
                        StandardOpenOption.CREATE,
                        StandardOpenOption.WRITE,
                        LinkOption.NOFOLLOW_LINKS);
        // Without locks, making the folder is still what two fresh runs cannot both do.
        if (!FileLocks.take(lock)) {
            lock.close();
            String process =
                    JobRecord.read(path.resolve("job.json"))
                            .map(JobRecord::process)
                            .orElse("it has just begun");
            throw LeftoverException.running(target, process);
        }
        return new WorkFolder(target, lock, created);
    }

    private static void requireOurs(Path path) throws IOException {
        if (!Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
            throw new FileAlreadyExistsException(path.toString());
        }
        try (Stream<Path> entries = Files.list(path)) {
            List<String> foreign =
                    entries.map(p -> p.getFileName().toString())
                            .filter(name -> !NAMES.contains(name))
                            .sorted()
                            .limit(1)
                            .toList();
            if (!foreign.isEmpty()) {
                throw new RefusedException(
                        path.toString(),
                        "it holds `%s`".formatted(foreign.getFirst()),
                        "what ucp writes there and nothing else",
                        "move that folder, or choose another -o");
            }
        }
    }

    /// Whether this run made it, and nothing was there.
    boolean created() {
        return created;
    }

    Path path() {
        return path;
    }

    Path job() {
        return path.resolve("job.json");
    }

    Path journal() {
        return path.resolve("journal");
    }

    Path output() {
        return path.resolve("output");
    }

    Path replaced() {
        return path.resolve("replaced");
    }

    private Path commit() {
        return path.resolve("commit");
    }

    /// Says which job is at work from here on; a run that ends before leaves nothing to go on with.
    void begin(JobRecord job, boolean sync) throws IOException {
        Path fresh = path.resolve("job.new");
        write(fresh, job.json(), sync);
        Files.move(fresh, job(), StandardCopyOption.ATOMIC_MOVE);
        Files.createDirectory(output());
    }

    /// The identity of the output that is being renamed.
    Optional<String> committing() throws IOException {
        return Files.exists(commit(), LinkOption.NOFOLLOW_LINKS)
                ? Optional.of(Files.readString(commit()))
                : Optional.empty();
    }

    void commits(String identity, boolean sync) throws IOException {
        write(commit(), identity.getBytes(StandardCharsets.UTF_8), sync);
        if (sync) {
            FolderTree.flushOne(path);
        }
    }

    void commitsNoMore() throws IOException {
        Files.deleteIfExists(commit());
    }

    /// Writes a small file anew.
    static void write(Path file, byte[] content, boolean sync) throws IOException {
        try (FileChannel channel =
                FileChannel.open(
                        file,
                        StandardOpenOption.WRITE,
                        StandardOpenOption.CREATE,
                        StandardOpenOption.TRUNCATE_EXISTING,
                        LinkOption.NOFOLLOW_LINKS)) {
            ByteBuffer bytes = ByteBuffer.wrap(content);
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            if (sync) {
                channel.force(true);
            }
        }
    }

    /// Removes all but the lock. What was being replaced gets its name back where nothing has it.
    void clear() throws IOException {
        if (Files.exists(replaced(), LinkOption.NOFOLLOW_LINKS)
                && !Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
            Files.move(replaced(), target, StandardCopyOption.ATOMIC_MOVE);
        }
        for (String name : NAMES) {
            Path entry = path.resolve(name);
            if (!name.equals(LOCK) && Files.exists(entry, LinkOption.NOFOLLOW_LINKS)) {
                FolderTree.remove(entry);
            }
        }
    }

    /// Removes all of it and lets it go; the lock last.
    void remove() throws IOException {
        clear();
        Files.deleteIfExists(path.resolve(LOCK));
        lock.close();
        Files.delete(path);
    }

    @Override
    public void close() throws IOException {
        lock.close();
    }
}
