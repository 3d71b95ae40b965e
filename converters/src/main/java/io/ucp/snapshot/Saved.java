package io.ucp.snapshot;

import io.ucp.formats.CheckpointFormat.Candidate;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.Comparator;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/// What a job saved as one: what lies directly below its root, which is the checkpoint's own folder
/// or, of the Hugging Face trainer, the step's, in which that lies among other files.
///
/// @param own the checkpoint's
/// @param files by path relative to `folder`
record Saved(Path folder, Path own, Map<String, Stamp> files) {
    /// What tells that a file is the one that it was; the time to the millisecond, which every file
    /// system keeps.
    record Stamp(long size, FileTime modified) {}

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
        return Files.isDirectory(copy)
                && stamps(copy, Integer.MAX_VALUE).entrySet().containsAll(files.entrySet());
    }

    /// Whether `copy` has the same files.
    boolean isLike(Path copy) throws IOException {
        return Files.isDirectory(copy) && stamps(copy, Integer.MAX_VALUE).equals(files);
    }

    /// Of the files in a folder, by path relative to it.
    ///
    /// @param depth 1 for those that lie in it directly
    static Map<String, Stamp> stamps(Path folder, int depth) throws IOException {
        Map<String, Stamp> stamps = new TreeMap<>();
        try (Stream<Path> all = Files.walk(folder, depth)) {
            for (Path path : all.filter(Files::isRegularFile).toList()) {
                BasicFileAttributes of = Files.readAttributes(path, BasicFileAttributes.class);
                stamps.put(
                        folder.relativize(path).toString(),
                        new Stamp(
                                of.size(), FileTime.fromMillis(of.lastModifiedTime().toMillis())));
            }
        }
        return stamps;
    }
}
