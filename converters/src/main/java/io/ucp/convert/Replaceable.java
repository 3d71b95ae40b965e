package io.ucp.convert;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.RefusedException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.Stream;

/// What `--overwrite` may replace: a checkpoint, or an empty folder; never all that a job saved.
final class Replaceable {
    private Replaceable() {}

    /// @throws RefusedException where it is anything else
    static void require(Path target) throws IOException {
        if (!Files.isDirectory(target, LinkOption.NOFOLLOW_LINKS)) {
            throw refused(target, Files.isSymbolicLink(target) ? "a link" : "no folder");
        }
        Set<Path> found = new HashSet<>();
        for (CheckpointFormat format : CheckpointFormat.all()) {
            format.find(target).forEach(candidate -> found.add(candidate.folder()));
        }
        if (found.size() > 1) {
            throw refused(target, "%d checkpoints".formatted(found.size()));
        }
        if (!found.isEmpty()) {
            return;
        }
        try (Stream<Path> entries = Files.list(target)) {
            if (entries.findAny().isPresent()) {
                throw refused(target, "no checkpoint");
            }
        }
    }

    /// The source may not lie in what is replaced, nor a file that it only links to: it would go
    /// with it.
    ///
    /// @param source a folder, or a file that is read
    static void requireApart(Path source, Path target) throws IOException {
        if (Files.exists(target)
                && Files.exists(source)
                && source.toRealPath().startsWith(target.toRealPath())) {
            throw new RefusedException(
                    target.toString(),
                    source.toRealPath().equals(target.toRealPath())
                            ? "the checkpoint that is read, and would be replaced"
                            : "%s, which is read, lies there".formatted(source),
                    "another folder",
                    "choose an -o beside it, and remove the source when you have verified the"
                            + " output");
        }
    }

    private static RefusedException refused(Path target, String found) {
        return new RefusedException(
                target.toString(),
                "--overwrite, and it is " + found,
                "a checkpoint, which alone is replaced",
                "choose another -o, or remove it first");
    }
}
