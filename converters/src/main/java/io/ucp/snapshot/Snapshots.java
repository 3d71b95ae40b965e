package io.ucp.snapshot;

import io.ucp.convert.OpenedSource;
import io.ucp.convert.RunOptions;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.io.MalformedFileException;
import io.ucp.parity.Grouping;
import io.ucp.parity.Protection;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/// One look at a root of checkpoints, and what follows from it.
public final class Snapshots {
    private static final FileTime BEGINNING = FileTime.fromMillis(Long.MIN_VALUE);

    private final Wishes wishes;
    private final RunOptions options;
    private final InstantSource clock;
    private final Consumer<Event> events;
    private final Set<Path> told = new HashSet<>();
    private boolean swept;

    /// What is older lay there before the first look.
    private Optional<FileTime> since = Optional.empty();

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
    /// @param what `protected`, `flushed`, `removed`; `incomplete`: it lies before newer ones,
    ///   cannot be read, and is left alone
    /// @param bytes of the checkpoint; of the parity where that was written
    public record Event(String tag, String what, long bytes, Duration took) {}

    /// Looks once: protects the newest, flushes what was committed since the last one that is
    /// flushed, the oldest first, and removes what is not to be kept. What cannot be done now is
    /// tried again with the next look, and holds up nothing that does not need it.
    ///
    /// @return whether a committed checkpoint lies there and everything wished is done
    /// @throws IOException what went wrong first; what went wrong besides is suppressed in it
    /// @throws RefusedException where two of the folders are the same
    public boolean look() throws IOException {
        requireApart();
        sweep();
        Optional<Committed> found = committed();
        if (found.isEmpty()) {
            since = since.isEmpty() && isBare() ? Optional.of(BEGINNING) : since;
            return false;
        }
        Committed newest = found.get();
        since = Optional.of(since.orElse(newest.saved().at()));
        if (!isSettled(newest.saved())) {
            return false;
        }
        List<Saved> older = older(newest);
        Attempts attempts = new Attempts();
        boolean held = attempts.made(() -> protect(newest)) || wishes.flushTo().isPresent();
        for (Saved behind : backlog(older)) {
            attempts.made(() -> catchUp(newest, behind, older));
        }
        attempts.made(() -> flush(newest));
        if (wishes.keep() > 0 && held) {
            for (Saved old : older.stream().skip(wishes.keep() - 1L).toList()) {
                attempts.made(() -> remove(old));
            }
        }
        attempts.end();
        return true;
    }

    /// A checkpoint, its parity and its copy have the same name: in one folder, one would be taken
    /// for the other, and removed for it.
    private void requireApart() throws IOException {
        List<Path> places = new ArrayList<>(List.of(wishes.root()));
        wishes.parity().map(Parity::folder).ifPresent(places::add);
        wishes.flushTo().ifPresent(places::add);
        for (int k = 1; k < places.size(); k++) {
            for (Path other : places.subList(0, k)) {
                Path place = places.get(k);
                boolean there = Files.exists(place) && Files.exists(other);
                if (place.equals(other) || (there && Files.isSameFile(place, other))) {
                    throw new RefusedException(
                            place.toString(),
                            "one folder for two purposes: %s is the same".formatted(other),
                            "checkpoints, parity and copies apart",
                            "name another folder");
                }
            }
        }
    }

    /// A checkpoint that its job is done with.
    private record Committed(
            CheckpointFormat format, OpenedSource opened, Saved saved, PointerFile pointer) {}

    /// The one that the job's pointer names, or that is marked in its own folder; the formats in
    /// the order in which checkpoints are read. A root without either has none yet.
    private Optional<Committed> committed() throws IOException {
        Path root = wishes.root();
        if (!Files.isDirectory(root)) {
            return Optional.empty();
        }
        List<CheckpointFormat> formats =
                CheckpointFormat.all().stream()
                        .sorted(Comparator.comparingInt(CheckpointFormat::precedence))
                        .toList();
        for (CheckpointFormat format : formats) {
            Optional<Candidate> named = newest(format.find(root), format);
            if (named.isPresent()) {
                PointerFile pointer = PointerFile.read(root, named.get());
                boolean chosen = named.get().pointer().endsWith(CheckpointFormat.NO_POINTER);
                Path base = chosen ? named.get().folder() : root;
                OpenedSource opened = OpenedSource.open(base, Optional.of(format.name()));
                Saved saved = Saved.in(root, named.get());
                // Another one was committed while this one was opened.
                boolean same = opened.taken().folder().equals(named.get().folder());
                return same && PointerFile.read(root, named.get()).equals(pointer)
                        ? Optional.of(new Committed(format, opened, saved, pointer))
                        : Optional.empty();
            }
        }
        return Optional.empty();
    }

    private Optional<Candidate> newest(List<Candidate> found, CheckpointFormat format)
            throws IOException {
        Optional<Candidate> newest = Optional.empty();
        FileTime latest = BEGINNING;
        for (Candidate candidate : found) {
            if (candidate.pointer().isEmpty() || !Files.isDirectory(candidate.folder())) {
                continue;
            }
            if (!candidate.pointer().endsWith(CheckpointFormat.NO_POINTER)) {
                return Optional.of(candidate);
            }
            FileTime at = Saved.in(wishes.root(), candidate).at();
            if (format.isMarkedInside() && at.compareTo(latest) > 0) {
                newest = Optional.of(candidate);
                latest = at;
            }
        }
        return newest;
    }

    private boolean isBare() throws IOException {
        return !Files.isDirectory(wishes.root()) || !isCheckpoint(wishes.root());
    }

    private boolean isSettled(Saved saved) {
        return !saved.at().toInstant().plus(wishes.settled()).isAfter(clock.instant());
    }

    /// What else the job has saved there, the newest first; not what it is at present saving.
    private List<Saved> older(Committed newest) throws IOException {
        Set<Path> seen = new HashSet<>();
        List<Saved> older = new ArrayList<>();
        for (Candidate other : newest.format().find(wishes.root())) {
            add(older, seen, other, newest);
        }
        older.sort(Comparator.comparing(Saved::at).reversed().thenComparing(Saved::folder));
        return older;
    }

    private void add(List<Saved> older, Set<Path> seen, Candidate candidate, Committed newest)
            throws IOException {
        if (!Files.isDirectory(candidate.folder())) {
            return;
        }
        Saved saved = Saved.in(wishes.root(), candidate);
        boolean before =
                !saved.folder().equals(newest.saved().folder())
                        && saved.at().compareTo(newest.saved().at()) <= 0
                        && isSettled(saved);
        if (before && seen.add(saved.folder())) {
            older.add(saved);
        }
    }

    /// What was committed after the newest of those with which all is done, the oldest first. Where
    /// that is so of none, what was committed since the first look.
    private List<Saved> backlog(List<Saved> older) throws IOException {
        List<Saved> behind = new ArrayList<>();
        for (Saved saved : older) {
            if (isDone(saved)) {
                return behind.reversed();
            }
            behind.add(saved);
        }
        behind.removeIf(saved -> saved.at().compareTo(since.orElse(BEGINNING)) < 0);
        return behind.reversed();
    }

    private boolean isDone(Saved saved) throws IOException {
        return wishes.flushTo().isPresent()
                ? isFlushed(saved)
                : wishes.parity().isPresent() && isProtected(saved, wishes.parity().get());
    }

    private void catchUp(Committed newest, Saved behind, List<Saved> older) throws IOException {
        CheckpointFormat format = newest.format();
        try {
            OpenedSource opened = OpenedSource.open(behind.own(), Optional.of(format.name()));
            Committed committed = new Committed(format, opened, behind, PointerFile.NONE);
            if (wishes.keep() == 0 || older.indexOf(behind) < wishes.keep() - 1) {
                protect(committed);
            }
            flush(committed);
        } catch (IncompleteCheckpointException | MalformedFileException e) {
            if (told.add(behind.folder())) {
                events.accept(
                        new Event(behind.name(), "incomplete", behind.bytes(), Duration.ZERO));
            }
        }
    }

    private boolean isProtected(Saved saved, Parity wish) throws IOException {
        Path manifest = wish.folder().resolve(saved.name()).resolve("manifest.json");
        return Files.exists(manifest)
                && Files.getLastModifiedTime(manifest).compareTo(saved.at()) >= 0;
    }

    private void protect(Committed checkpoint) throws IOException {
        if (wishes.parity().isEmpty()) {
            return;
        }
        Parity wish = wishes.parity().get();
        Saved saved = checkpoint.saved();
        if (isProtected(saved, wish)) {
            return;
        }
        Path target = wish.folder().resolve(saved.name());
        requireReplaceable(target, "no parity", Snapshots::isParity, "--parity-to");
        Discarded.folder(target); // of an earlier checkpoint of that name
        long start = System.nanoTime();
        Protection.Report report =
                Protection.run(
                        new Protection.Request(
                                wishes.root(),
                                checkpoint.opened(),
                                wish.grouping(),
                                wish.data(),
                                wish.parity()),
                        target,
                        options,
                        (done, total) -> {});
        tell(saved.name(), "protected", report.parityBytes(), start);
    }

    /// Only what an earlier look may have written is replaced; a link is none of that.
    private static void requireReplaceable(Path there, String what, Written written, String option)
            throws IOException {
        boolean free = !Files.exists(there, LinkOption.NOFOLLOW_LINKS);
        boolean ours =
                free || Files.isDirectory(there, LinkOption.NOFOLLOW_LINKS) && written.isIn(there);
        if (!ours) {
            throw new RefusedException(
                    there.toString(),
                    "it is there already and " + what,
                    "none, or what an earlier look wrote there",
                    "move it, or choose another " + option);
        }
    }

    /// What an earlier look writes.
    @FunctionalInterface
    private interface Written {
        boolean isIn(Path folder) throws IOException;
    }

    private static boolean isParity(Path folder) {
        return Files.isRegularFile(folder.resolve("manifest.json"));
    }

    private static boolean isCheckpoint(Path folder) throws IOException {
        for (CheckpointFormat format : CheckpointFormat.all()) {
            if (!format.find(folder).isEmpty()) {
                return true;
            }
        }
        return false;
    }

    private boolean isFlushed(Saved saved) throws IOException {
        return wishes.flushTo().isPresent()
                && saved.isIn(wishes.flushTo().get().resolve(saved.name()));
    }

    private void flush(Committed checkpoint) throws IOException {
        if (wishes.flushTo().isEmpty()) {
            return;
        }
        Path to = wishes.flushTo().get();
        Saved saved = checkpoint.saved();
        if (!isFlushed(saved)) {
            Path copy = to.resolve(saved.name());
            requireReplaceable(copy, "no checkpoint", Snapshots::isCheckpoint, "--flush-to");
            long start = System.nanoTime();
            new FolderCopy(new RateLimit(wishes.rate()), options).folder(saved, copy);
            tell(saved.name(), "flushed", saved.bytes(), start);
        }
        checkpoint.pointer().write(to, options.output().sync()); // it says that the rest is there
    }

    /// Never one that was to be flushed and is not.
    private void remove(Saved old) throws IOException {
        if (wishes.flushTo().isPresent() && !isFlushed(old)) {
            return;
        }
        long start = System.nanoTime();
        Discarded.folder(old.folder());
        if (wishes.parity().isPresent()) {
            Discarded.folder(wishes.parity().get().folder().resolve(old.name()));
        }
        tell(old.name(), "removed", old.bytes(), start);
    }

    /// Removes what a process left that was killed, once.
    private void sweep() throws IOException {
        if (!swept) {
            Discarded.sweep(wishes.root());
            if (wishes.parity().isPresent()) {
                Discarded.sweep(wishes.parity().get().folder());
            }
            if (wishes.flushTo().isPresent()) {
                Discarded.sweep(wishes.flushTo().get());
            }
            swept = true;
        }
    }

    private void tell(String tag, String what, long bytes, long start) {
        events.accept(new Event(tag, what, bytes, Duration.ofNanos(System.nanoTime() - start)));
    }
}
