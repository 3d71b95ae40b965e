package io.ucp.convert;

import io.ucp.formats.TargetTree.SmallFile;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.UUID;

/// A folder that appears whole or not at all: written under a temporary name beside the final one,
/// renamed when it is complete, removed when closed before that.
public final class OutputFolder implements Closeable {
    private final Path target;
    private final Path work;
    private boolean committed;

    private OutputFolder(Path target, Path work) {
        this.target = target;
        this.work = work;
    }

    /// @throws OutputExistsException where `target` is there already
    public static OutputFolder create(Path target) throws IOException {
        Path absolute = target.toAbsolutePath().normalize();
        if (Files.exists(absolute, LinkOption.NOFOLLOW_LINKS)) {
            throw new OutputExistsException(target);
        }
        Path parent = absolute.getParent();
        if (parent == null) {
            throw new OutputExistsException(target);
        }
        // The name is ours alone, so that two conversions beside each other never meet.
        Path work =
                parent.resolve(".%s.ucp-%s".formatted(absolute.getFileName(), UUID.randomUUID()));
        try {
            Files.createDirectories(parent);
            Files.createDirectory(work);
        } catch (IOException e) {
            throw Unwritable.in(parent, e);
        }
        return new OutputFolder(absolute, work);
    }

    /// Where to write until [#commit].
    public Path work() {
        return work;
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
                    "no space: %,d bytes are free on this disk; expected %,d\nhint: free some room or choose an -o elsewhere"
                            .formatted(free, size));
        }
    }

    /// Writes a small file below [#work] and flushes it to the disk.
    public void write(SmallFile file) throws IOException {
        Path path = work.resolve(file.path());
        Path parent = path.getParent();
        if (parent != null) {
            Files.createDirectories(parent);
        }
        try (FileChannel channel =
                FileChannel.open(path, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            ByteBuffer bytes = ByteBuffer.wrap(file.bytes());
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            channel.force(true);
        }
    }

    /// Flushes the folders and gives the output its final name.
    ///
    /// @throws OutputExistsException where something took that name meanwhile
    public void commit() throws IOException {
        Files.walkFileTree(
                work,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult postVisitDirectory(Path folder, IOException failure)
                            throws IOException {
                        flush(folder);
                        return FileVisitResult.CONTINUE;
                    }
                });
        if (Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
            throw new OutputExistsException(target);
        }
        Files.move(work, target, StandardCopyOption.ATOMIC_MOVE);
        committed = true;
        Path parent = target.getParent();
        if (parent != null) {
            flush(parent);
        }
    }

    private static void flush(Path folder) throws IOException {
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    @Override
    public void close() throws IOException {
        if (!committed) {
            remove(work);
        }
    }

    private static void remove(Path folder) throws IOException {
        Files.walkFileTree(
                folder,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                            throws IOException {
                        Files.delete(file);
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult postVisitDirectory(Path visited, IOException failure)
                            throws IOException {
                        Files.delete(visited);
                        return FileVisitResult.CONTINUE;
                    }
                });
    }
}
