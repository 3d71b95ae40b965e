package io.ucp.snapshot;

import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.parity.Repair;

import java.io.IOException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.FileVisitOption;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.Comparator;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/// What a job saved as one: what lies directly below its root, which is the checkpoint's own folder
/// or, of the Hugging Face trainer, the step's, in which that lies among other files.
///
/// @param own the checkpoint's
/// @param files by path relative to `folder`
record Saved(Path folder, Path own, Map<String, Stamp> files) {
    /// What tells that a file is the one that it was; the time to the millisecond, which every file
    /// system keeps.
    record Stamp(long size, FileTime modified) {
        private static Stamp of(BasicFileAttributes of) {
            return new Stamp(of.size(), FileTime.fromMillis(of.lastModifiedTime().toMillis()));
        }
    }

    static Saved in(Path root, Candidate candidate) throws IOException {
        Path own = candidate.folder();
        boolean below = own.startsWith(root) && !own.equals(root);
        Path folder = below ? root.resolve(root.relativize(own).getName(0)) : own;
        return new Saved(folder, own, stamps(folder, Integer.MAX_VALUE));
    }

    String name() {
        return String.valueOf(folder.getFileName());
    }

    /// The same for the same files: a tag that is saved again is another.
    String id() {
        return name() + " of " + at();
    }

    /// When the last of its files was written.
    FileTime at() {
        return files.values().stream()
                .map(Stamp::modified)
                .max(Comparator.naturalOrder())
                .orElse(FileTime.fromMillis(0));
    }

    long bytes() {
        return files.values().stream().mapToLong(Stamp::size).sum();
    }

    /// Whether `copy` has all of its files, whatever else somebody put there.
    boolean isIn(Path copy) throws IOException {
        for (Map.Entry<String, Stamp> each : files.entrySet()) {
            Path file = copy.resolve(each.getKey());
            if (!Files.isRegularFile(file)
                    || !Stamp.of(Files.readAttributes(file, BasicFileAttributes.class))
                            .equals(each.getValue())) {
                return false;
            }
        }
        return Files.isDirectory(copy);
    }

    /// Whether a file of this one lies in a folder, and is here a link to it.
    boolean leadsInto(Path other) throws IOException {
        Path real = other.toRealPath();
        for (String file : files.keySet()) {
            if (folder.resolve(file).toRealPath().startsWith(real)) {
                return true;
            }
        }
        return false;
    }

    /// Whether `copy` has the same files.
    boolean isLike(Path copy) throws IOException {
        return Files.isDirectory(copy) && stamps(copy, Integer.MAX_VALUE).equals(files);
    }

    /// Of the files in a folder, by path relative to it. Links are followed: what a checkpoint has
    /// through one is its own. One that leads back to where it lies brings nothing that is not
    /// there. What a repair has half made is none of them.
    ///
    /// @param depth 1 for those that lie in it directly
    static Map<String, Stamp> stamps(Path folder, int depth) throws IOException {
        Map<String, Stamp> stamps = new TreeMap<>();
        Files.walkFileTree(
                folder,
                Set.of(FileVisitOption.FOLLOW_LINKS),
                depth,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                        if (attributes.isRegularFile() && !Repair.isTemporary(file)) {
                            stamps.put(folder.relativize(file).toString(), Stamp.of(attributes));
                        }
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult visitFileFailed(Path file, IOException failure)
                            throws IOException {
                        if (failure instanceof FileSystemLoopException) {
                            return FileVisitResult.CONTINUE;
                        }
                        throw failure;
                    }
                });
        return stamps;
    }
}
