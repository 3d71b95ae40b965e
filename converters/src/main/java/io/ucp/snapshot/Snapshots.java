package io.ucp.snapshot;

import io.ucp.convert.FolderTree;
import io.ucp.convert.OpenedSource;
import io.ucp.convert.RunOptions;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.io.WholeFile;
import io.ucp.parity.Grouping;
import io.ucp.parity.NewFolder;
import io.ucp.parity.Protection;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;

/// One look at a root of checkpoints, and what follows from it.
public final class Snapshots {
    private final Wishes wishes;
    private final RunOptions options;
    private final InstantSource clock;
    private final Consumer<Event> events;

    /// @param events told of everything that was done
    public Snapshots(
            Wishes wishes, RunOptions options, InstantSource clock, Consumer<Event> events) {
        this.wishes = wishes;
        this.options = options;
        this.clock = clock;
        this.events = events;
    }

    /// What is to be done with the checkpoints of a root.
    ///
    /// @param keep the newest so many stay in the root, with their parity; 0: all
    /// @param settled how long no file of a checkpoint may have changed before it counts as done
    /// @param flushTo where checkpoints are copied to
    /// @param rate bytes a second for that; 0: no limit
    public record Wishes(
            Path root,
            int keep,
            Duration settled,
            Optional<Parity> parity,
            Optional<Path> flushTo,
            long rate) {}

    /// @param folder gets a folder for each checkpoint
    public record Parity(Path folder, Grouping grouping, int data, int parity) {}

    /// What was done with a checkpoint.
    ///
    /// @param what `protected`, `flushed`, `removed`
    /// @param bytes of the checkpoint; of the parity where that was written
    public record Event(String tag, String what, long bytes, Duration took) {}

    /// Looks once. What cannot be done now is tried again with the next look.
    ///
    /// @return whether a committed checkpoint lies there and everything wished is done
    /// @throws IOException what went wrong first; the rest was tried all the same
    public boolean look() throws IOException {
        Optional<OpenedSource> found = committed();
        if (found.isEmpty()) {
            return false;
        }
        OpenedSource opened = found.get();
        Path folder = opened.taken().folder();
        Map<String, Stamp> stamps = stamps(folder);
        FileTime newest =
                stamps.values().stream()
                        .map(Stamp::modified)
                        .max(Comparator.naturalOrder())
                        .orElse(FileTime.fromMillis(0));
        if (newest.toInstant().plus(wishes.settled()).isAfter(clock.instant())) {
            return false;
        }
        if (wishes.parity().isPresent()) {
            protect(opened, wishes.parity().get(), newest);
        }
        if (wishes.flushTo().isPresent()) {
            flush(opened, wishes.flushTo().get(), stamps);
        }
        if (wishes.keep() > 0) {
            prune(opened);
        }
        return true;
    }

    /// The checkpoint that the job's pointer names; a root without pointer has none yet.
    private Optional<OpenedSource> committed() throws IOException {
        if (!Files.isDirectory(wishes.root())) {
            return Optional.empty();
        }
        for (CheckpointFormat format : CheckpointFormat.all()) {
            for (Candidate candidate : format.find(wishes.root())) {
                boolean named =
                        !candidate.pointer().isEmpty()
                                && !candidate.pointer().endsWith(CheckpointFormat.NO_POINTER)
                                && Files.isDirectory(candidate.folder());
                if (named) {
                    return Optional.of(
                            OpenedSource.open(wishes.root(), Optional.of(candidate.format())));
                }
            }
        }
        return Optional.empty();
    }

    /// What tells that a file is the one that it was.
    private record Stamp(long size, FileTime modified) {}

    /// By path relative to the folder; times to the millisecond, which every file system keeps.
    private static Map<String, Stamp> stamps(Path folder) throws IOException {
        Map<String, Stamp> stamps = new TreeMap<>();
        try (Stream<Path> all = Files.walk(folder)) {
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

    private void protect(OpenedSource opened, Parity wish, FileTime newest) throws IOException {
        String tag = name(opened.taken().folder());
        Path target = wish.folder().resolve(tag);
        if (Files.isDirectory(target)) {
            boolean older =
                    Files.getLastModifiedTime(target.resolve("manifest.json")).compareTo(newest)
                            < 0;
            if (!older) {
                return;
            }
            discard(target); // of an earlier checkpoint of that name
        }
        long start = System.nanoTime();
        Protection.Report report =
                Protection.run(
                        new Protection.Request(
                                wishes.root(), opened, wish.grouping(), wish.data(), wish.parity()),
                        target,
                        options,
                        (done, total) -> {});
        tell(tag, "protected", report.parityBytes(), start);
    }

    private void flush(OpenedSource opened, Path to, Map<String, Stamp> stamps) throws IOException {
        Path folder = opened.taken().folder();
        String tag = name(folder);
        Path target = to.resolve(tag);
        long start = System.nanoTime();
        boolean there = Files.isDirectory(target) && stamps(target).equals(stamps);
        if (!there) {
            if (Files.isDirectory(target)) {
                discard(target);
            }
            long bytes = copy(folder, target, stamps);
            tell(tag, "flushed", bytes, start);
        }
        point(opened, to);
    }

    private long copy(Path folder, Path target, Map<String, Stamp> stamps) throws IOException {
        long total = stamps.values().stream().mapToLong(Stamp::size).sum();
        try (NewFolder made = NewFolder.create(target, options.output().sync())) {
            made.requireSpace(total);
            FolderCopy copy =
                    new FolderCopy(
                            new RateLimit(wishes.rate()),
                            options.output().sync(),
                            options.cancelled());
            for (Map.Entry<String, Stamp> each : stamps.entrySet()) {
                copy.file(
                        folder.resolve(each.getKey()),
                        made.path().resolve(each.getKey()),
                        each.getValue().modified());
            }
            if (!stamps(folder).equals(stamps) || !stamps(made.path()).equals(stamps)) {
                throw new java.nio.file.FileSystemException(
                        folder.toString(), null, "it changed while it was copied");
            }
            made.commit();
        }
        return total;
    }

    /// The pointers come last: they say that the rest is there.
    private void point(OpenedSource opened, Path to) throws IOException {
        Path pointer = wishes.root().resolve(opened.taken().pointer()).normalize();
        Path target = to.resolve(wishes.root().relativize(pointer).toString());
        if (!Files.isRegularFile(pointer) || !pointer.startsWith(wishes.root())) {
            return;
        }
        byte[] text = WholeFile.read(pointer);
        boolean same =
                Files.isRegularFile(target)
                        && java.util.Arrays.equals(WholeFile.read(target), text);
        if (!same) {
            Path fresh = target.resolveSibling("." + target.getFileName() + ".ucp-new");
            Files.createDirectories(target.resolveSibling("."));
            Files.write(fresh, text);
            Files.move(
                    fresh,
                    target,
                    StandardCopyOption.ATOMIC_MOVE,
                    StandardCopyOption.REPLACE_EXISTING);
        }
    }

    /// Removes checkpoints beside the newest, never the one that the pointer names, and never one
    /// that was to be flushed and is not.
    private void prune(OpenedSource opened) throws IOException {
        List<Path> others = new ArrayList<>();
        for (Candidate left : opened.left()) {
            Path folder = left.folder();
            if (Files.isDirectory(folder) && wishes.root().equals(folder.getParent())) {
                others.add(folder);
            }
        }
        Comparator<Path> byAge = Comparator.comparing(Snapshots::saved);
        List<Path> newestFirst =
                others.stream()
                        .distinct()
                        .sorted(byAge.reversed().thenComparing(Comparator.naturalOrder()))
                        .toList();
        for (Path old : newestFirst.stream().skip(wishes.keep() - 1L).toList()) {
            Map<String, Stamp> stamps = stamps(old);
            if (wishes.flushTo().isPresent()) {
                Path copy = wishes.flushTo().get().resolve(name(old));
                if (!Files.isDirectory(copy) || !stamps(copy).equals(stamps)) {
                    continue;
                }
            }
            long start = System.nanoTime();
            discard(old);
            if (wishes.parity().isPresent()) {
                discard(wishes.parity().get().folder().resolve(name(old)));
            }
            long bytes = stamps.values().stream().mapToLong(Stamp::size).sum();
            tell(name(old), "removed", bytes, start);
        }
    }

    private static FileTime saved(Path folder) {
        try {
            return stamps(folder).values().stream()
                    .map(Stamp::modified)
                    .max(Comparator.naturalOrder())
                    .orElse(FileTime.fromMillis(0));
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    /// Takes the name away first: what is half gone is nowhere under it.
    private static void discard(Path folder) throws IOException {
        if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        Path old = folder.resolveSibling("." + name(folder) + ".ucp-old");
        FolderTree.remove(old);
        Files.move(folder, old, StandardCopyOption.ATOMIC_MOVE);
        FolderTree.remove(old);
    }

    private void tell(String tag, String what, long bytes, long start) {
        events.accept(new Event(tag, what, bytes, Duration.ofNanos(System.nanoTime() - start)));
    }

    private static String name(Path path) {
        return String.valueOf(path.getFileName());
    }
}
