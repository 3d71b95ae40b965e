package io.ucp.convert;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.io.MalformedFileException;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// A checkpoint that its job may still be writing: how to tell, and how to wait for it.
///
/// A job is done with a checkpoint where the checkpoint can be read, its pointer (`latest`) names
/// no older one, and its files stay as they are.
public final class Settling {
    /// How long a file may not have been touched before its job counts as gone.
    private static final Duration RECENT = Duration.ofMinutes(2);

    private static final Duration PAUSE = Duration.ofSeconds(2);

    private Settling() {}

    /// Describes a checkpoint.
    @FunctionalInterface
    public interface Reading {
        Described describe() throws IOException;
    }

    /// Lets time pass.
    @FunctionalInterface
    public interface Clock {
        /// Waits about that long; false where that time is not left any more.
        boolean passes(Duration pause) throws IOException;

        /// So much time from now on.
        static Clock of(Duration limit) {
            long end = System.nanoTime() + limit.toNanos();
            return pause -> {
                if (System.nanoTime() - end > 0) {
                    return false;
                }
                try {
                    Thread.sleep(pause);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    return false;
                }
                return true;
            };
        }
    }

    /// Reads a checkpoint at once; an error has a [FreshFilesException] among its suppressed ones
    /// where its job may still be writing it.
    public static Described now(Path source, Reading reading) throws IOException {
        try {
            Described described = reading.describe();
            Optional<String> newer =
                    described.source().taken().pointer().isEmpty()
                            ? uncommitted(described)
                            : Optional.empty(); // the one that is named is whole
            if (newer.isPresent()) {
                throw new RefusedException(
                        source.toString(),
                        "its job may still be writing it: " + newer.get(),
                        "a checkpoint that its job is done with",
                        "--wait 600 waits for it; a copy counts as done two minutes after it was"
                                + " made");
            }
            return described;
        } catch (IncompleteCheckpointException | MalformedFileException e) {
            if (isFresh(source)) {
                e.addSuppressed(new FreshFilesException(source, RECENT.toSeconds()));
            }
            throw e;
        }
    }

    /// Reads a checkpoint when its job is done with it.
    ///
    /// @throws IncompleteCheckpointException where it is not by the end of the clock's time
    public static Described await(Path source, Reading reading, Clock clock) throws IOException {
        while (true) {
            Map<Path, String> before = files(source);
            String found;
            try {
                Described described = reading.describe();
                Optional<String> newer = uncommitted(described);
                if (newer.isPresent()) {
                    found = newer.get();
                } else if (!clock.passes(PAUSE)) {
                    found = "its files have not been watched for long enough";
                } else if (files(source).equals(before)) {
                    return described;
                } else {
                    continue;
                }
            } catch (IncompleteCheckpointException
                    | MalformedFileException
                    | NoSuchFileException e) {
                found = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
            }
            if (!clock.passes(PAUSE)) {
                throw new IncompleteCheckpointException(
                        source.toString(),
                        "waited, and it is not whole yet: " + found,
                        "a checkpoint that its job is done with",
                        "give --wait more time, or look whether the job still runs");
            }
        }
    }

    /// Where a checkpoint is newer than the pointer that should name it and was written just now:
    /// this one, or one beside it. Its job writes the pointer last.
    private static Optional<String> uncommitted(Described described) throws IOException {
        Candidate taken = described.source().taken();
        Path root = taken.folder().toAbsolutePath().normalize().getParent();
        if (root == null) {
            return Optional.empty();
        }
        for (CheckpointFormat format : CheckpointFormat.all()) {
            if (format.name().equals(taken.format())) {
                List<Candidate> found = format.find(root);
                if (!found.isEmpty()) {
                    return uncommitted(root, found.getFirst(), found);
                }
            }
        }
        return Optional.empty();
    }

    private static Optional<String> uncommitted(Path root, Candidate named, List<Candidate> found)
            throws IOException {
        if (named.pointer().isEmpty() || !Files.isRegularFile(root.resolve(named.pointer()))) {
            return Optional.empty();
        }
        FileTime committed = Files.getLastModifiedTime(root.resolve(named.pointer()));
        for (Candidate other : found) {
            if (!other.folder().equals(named.folder())
                    && Files.getLastModifiedTime(other.folder()).compareTo(committed) > 0
                    && isFresh(other.folder())) {
                return Optional.of(
                        "%s is newer than `%s`, which names %s"
                                .formatted(other.tag(), named.pointer(), named.tag()));
            }
        }
        return Optional.empty();
    }

    private static boolean isFresh(Path source) throws IOException {
        long now = System.currentTimeMillis();
        long[] newest = {Long.MIN_VALUE};
        walk(
                source,
                (_, attributes) ->
                        newest[0] = Math.max(newest[0], attributes.lastModifiedTime().toMillis()));
        return newest[0] > now - RECENT.toMillis();
    }

    /// Size and time of every file.
    private static Map<Path, String> files(Path source) throws IOException {
        Map<Path, String> files = new HashMap<>();
        walk(
                source,
                (path, attributes) ->
                        files.put(path, attributes.size() + " " + attributes.lastModifiedTime()));
        return files;
    }

    private interface Seeing {
        void see(Path path, BasicFileAttributes attributes);
    }

    /// What vanishes meanwhile is passed over.
    private static void walk(Path source, Seeing seeing) throws IOException {
        if (!Files.exists(source)) {
            return;
        }
        Files.walkFileTree(
                source,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                        seeing.see(file, attributes);
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult visitFileFailed(Path file, IOException failure) {
                        return FileVisitResult.CONTINUE;
                    }
                });
    }
}
