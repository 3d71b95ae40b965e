package io.ucp.snapshot;

import io.ucp.convert.OpenedSource;
import io.ucp.convert.RunOptions;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.io.MalformedFileException;
import io.ucp.parity.Grouping;
import io.ucp.parity.NewFolder;
import io.ucp.parity.Protection;
import io.ucp.snapshot.JobFolder.Committed;
import io.ucp.snapshot.JobFolder.Reading;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// One look at a root of checkpoints, and what follows from it.
public final class Snapshots {
    private static final FileTime BEGINNING = FileTime.fromMillis(Long.MIN_VALUE);

    private final Wishes wishes;
    private final RunOptions options;
    private final Consumer<Event> events;
    private final JobFolder job;
    private final Attempts attempts;
    private final Map<Path, Saved> told = new HashMap<>();
    private final Optional<Parities> parities;
    private boolean swept;
    private boolean sweptAll;

    /// What is older lay there before the first look.
    private Optional<FileTime> since = Optional.empty();

    /// @param events told of everything that was done
    public Snapshots(
            Wishes wishes, RunOptions options, InstantSource clock, Consumer<Event> events) {
        this.wishes = wishes;
        this.options = options;
        this.events = events;
        this.job = new JobFolder(wishes.root(), wishes.settled(), clock);
        this.attempts = new Attempts(clock);
        this.parities = wishes.parity().map(wish -> new Parities(wishes.root(), wish));
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
    /// tried again with a later look, and holds up nothing that does not need it.
    ///
    /// @return whether a committed checkpoint lies there and everything wished is done, or [#owes]
    /// @throws IOException what went wrong first; what went wrong besides is suppressed in it
    /// @throws RefusedException where two of the folders are the same
    public boolean look() throws IOException {
        requireApart();
        attempts.made("sweep", this::sweep);
        boolean took = takeUp();
        if (took) {
            attempts.forgetUnasked();
        }
        attempts.tell();
        return took;
    }

    /// Takes up what is committed.
    ///
    /// @return whether there is something that has settled
    private boolean takeUp() throws IOException {
        Optional<Committed> found = job.committed();
        if (found.isEmpty()) {
            since = since.isEmpty() && job.isBare() ? Optional.of(BEGINNING) : since;
            return false;
        }
        Committed newest = found.get();
        List<Saved> older = job.older(newest);
        if (since.isEmpty()) {
            attempts.made("begin", () -> since = Optional.of(begun(newest, older)));
        }
        if (!job.isSettled(newest.saved())) {
            return false;
        }
        boolean whole = attempts.made("read " + newest.saved().id(), newest::opened);
        boolean safe =
                whole && attempts.made("protect " + newest.saved().id(), () -> protect(newest));
        for (Saved behind : backlog(older)) {
            if (isKept(behind, older)) {
                attempts.made("protect older " + behind.id(), () -> protectOlder(newest, behind));
            }
            attempts.made("flush older " + behind.id(), () -> flushOlder(newest, behind));
        }
        if (whole) {
            attempts.made("flush " + newest.saved().id(), () -> flush(newest));
        }
        if (wishes.keep() > 0 && (safe || (whole && wishes.flushTo().isPresent()))) {
            for (Saved old : surplus(older)) {
                attempts.made("remove " + old.id(), () -> remove(old, older, newest));
            }
        }
        if (!sweptAll && !owes()) {
            sweptAll = attempts.made("sweep all", () -> sweep(Set.of()));
        }
        return true;
    }

    /// Whether something went wrong that is to be tried again, but not yet.
    public boolean owes() {
        return attempts.isWaiting();
    }

    /// From when on checkpoints are ours: the newest, or the oldest that a process before this one
    /// had begun with, so that what was committed until this one was started is not forgotten; or
    /// the last one that it copied, which the job may have removed since.
    private FileTime begun(Committed newest, List<Saved> older) throws IOException {
        FileTime latest = newest.saved().at();
        FileTime begun = latest;
        for (Saved saved : older) {
            begun = isBegun(saved) ? saved.at() : begun;
        }
        FileTime copied = BEGINNING;
        if (wishes.flushTo().isPresent()) {
            for (Saved copy : JobFolder.all(wishes.flushTo().get(), newest.format())) {
                boolean last = copy.at().compareTo(copied) > 0 && copy.at().compareTo(latest) <= 0;
                copied = last ? copy.at() : copied;
            }
        }
        return copied.equals(BEGINNING) || copied.compareTo(begun) > 0 ? begun : copied;
    }

    private boolean isBegun(Saved saved) throws IOException {
        if (parities.isPresent() && parities.get().isCurrent(saved)) {
            return true;
        }
        return places().stream()
                .anyMatch(to -> Files.exists(NewFolder.beside(to.resolve(saved.name()))));
    }

    /// The folders that get something of each checkpoint.
    private List<Path> places() {
        return Stream.concat(
                        wishes.parity().map(Parity::folder).stream(), wishes.flushTo().stream())
                .toList();
    }

    /// A checkpoint, its parity and its copy have the same name: in one folder, one would be taken
    /// for the other, and removed for it.
    private void requireApart() throws IOException {
        List<Path> places = new ArrayList<>(List.of(wishes.root()));
        places.addAll(places());
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

    /// What was committed after the newest of those with which all is done, the oldest first. Where
    /// that is so of none, what was committed since the first look.
    private List<Saved> backlog(List<Saved> older) throws IOException {
        List<Saved> behind = new ArrayList<>();
        for (Saved saved : older) {
            if (isDone(saved, older)) {
                return behind.reversed();
            }
            behind.add(saved);
        }
        behind.removeIf(saved -> since.isEmpty() || saved.at().compareTo(since.get()) < 0);
        return behind.reversed();
    }

    private boolean isDone(Saved saved, List<Saved> older) throws IOException {
        boolean safe =
                parities.isEmpty() || !isKept(saved, older) || parities.get().isWished(saved);
        return safe && (wishes.flushTo().isEmpty() || isFlushed(saved));
    }

    private boolean isKept(Saved saved, List<Saved> older) {
        return !surplus(older).contains(saved);
    }

    /// All but the newest N; one that could not be read does not count.
    private List<Saved> surplus(List<Saved> older) {
        int left = wishes.keep() == 0 ? Integer.MAX_VALUE : wishes.keep() - 1;
        int end = 0;
        for (; end < older.size() && left > 0; end++) {
            Saved saved = older.get(end);
            left -= saved.equals(told.get(saved.folder())) ? 0 : 1;
        }
        return older.subList(end, older.size());
    }

    private void protectOlder(Committed newest, Saved behind) throws IOException {
        if (parities.isPresent() && !parities.get().isWished(behind)) {
            catchUp(newest, behind, this::protect);
        }
    }

    private void flushOlder(Committed newest, Saved behind) throws IOException {
        if (wishes.flushTo().isPresent() && !isFlushed(behind)) {
            catchUp(newest, behind, this::flush);
        }
    }

    /// What is done with a checkpoint.
    @FunctionalInterface
    private interface Step {
        void take(Committed checkpoint) throws IOException;
    }

    private void catchUp(Committed newest, Saved behind, Step step) throws IOException {
        if (behind.equals(told.get(behind.folder()))) {
            return;
        }
        CheckpointFormat format = newest.format();
        try {
            OpenedSource opened = OpenedSource.open(behind.own(), Optional.of(format.name()));
            step.take(new Committed(format, Reading.of(opened), behind, PointerFile.NONE));
        } catch (IncompleteCheckpointException | MalformedFileException e) {
            told.put(behind.folder(), behind);
            events.accept(new Event(behind.name(), "incomplete", behind.bytes(), Duration.ZERO));
        }
    }

    private void protect(Committed checkpoint) throws IOException {
        if (parities.isEmpty()) {
            return;
        }
        Parity wish = wishes.parity().orElseThrow();
        Saved saved = checkpoint.saved();
        if (parities.get().isWished(saved)) {
            return;
        }
        Path target = parities.get().of(saved);
        requireReplaceable(target, "no parity", parities.get()::isParity, "--parity-to");
        if (!parities.get().isCurrent(saved)) {
            Discarded.folder(target); // of an earlier checkpoint of that name
        }
        long start = System.nanoTime();
        Protection.Report report =
                Protection.replace(
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

    /// Only what an earlier look may have written is replaced; a link is none of that, nor is what
    /// the job's own checkpoints lie in.
    private void requireReplaceable(Path there, String what, Written written, String option)
            throws IOException {
        if (Files.isDirectory(there) && wishes.root().toRealPath().startsWith(there.toRealPath())) {
            throw new RefusedException(
                    there.toString(),
                    "the job saves there, and it would be replaced",
                    "a place of its own for what is written",
                    "choose another " + option);
        }
        boolean free = !Files.exists(there, LinkOption.NOFOLLOW_LINKS);
        boolean ours =
                free
                        || (Files.isDirectory(there, LinkOption.NOFOLLOW_LINKS)
                                && written.isIn(there));
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
            requireReplaceable(
                    copy,
                    "no checkpoint of the job's",
                    there -> JobFolder.isLike(there, saved, checkpoint.format()),
                    "--flush-to");
            long start = System.nanoTime();
            new FolderCopy(new RateLimit(wishes.rate()), options).folder(saved, copy);
            tell(saved.name(), "flushed", saved.bytes(), start);
        }
        checkpoint.pointer().write(to, options.output().sync()); // it says that the rest is there
    }

    /// Never one that was to be flushed and is not, nor one that the job has come back to while
    /// others were copied, nor one that others have files of. Its parity goes first: where this
    /// process ends in between, the next finds the checkpoint, and would never find parity of one
    /// that is gone.
    private void remove(Saved old, List<Saved> older, Committed newest) throws IOException {
        boolean stays = wishes.flushTo().isPresent() && !isFlushed(old);
        if (stays
                || job.isTakenUp(old, newest.format())
                || newest.saved().leadsInto(old.folder())) {
            return;
        }
        for (Saved other : older) {
            if (!other.equals(old)
                    && Files.isDirectory(other.folder())
                    && other.leadsInto(old.folder())) {
                return;
            }
        }
        long start = System.nanoTime();
        if (parities.isPresent() && parities.get().isParity(parities.get().of(old))) {
            Discarded.folder(parities.get().of(old));
        }
        Discarded.folder(old.folder());
        tell(old.name(), "removed", old.bytes(), start);
    }

    /// Removes what a process left that was killed, once; what it had half made of a checkpoint
    /// that is still there tells that it had begun with it, and stays until all is done.
    private void sweep() throws IOException {
        if (swept) {
            return;
        }
        Set<Path> names = new HashSet<>();
        if (Files.isDirectory(wishes.root())) {
            try (Stream<Path> entries = Files.list(wishes.root())) {
                entries.filter(Files::isDirectory).map(Path::getFileName).forEach(names::add);
            }
        }
        sweep(names);
        swept = true;
    }

    private void sweep(Set<Path> names) throws IOException {
        Discarded.sweep(wishes.root(), Set.of());
        for (Path place : places()) {
            Discarded.sweep(
                    place,
                    names.stream()
                            .map(name -> NewFolder.beside(place.resolve(name)))
                            .collect(Collectors.toSet()));
        }
    }

    private void tell(String tag, String what, long bytes, long start) {
        events.accept(new Event(tag, what, bytes, Duration.ofNanos(System.nanoTime() - start)));
    }
}
