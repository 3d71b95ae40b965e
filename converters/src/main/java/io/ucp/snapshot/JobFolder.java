package io.ucp.snapshot;

import io.ucp.convert.OpenedSource;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.io.MalformedFileException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// The checkpoints that a job has saved in a root, told from names, times and pointers. The newest
/// is opened when something of it has changed, and else remembered.
final class JobFolder {
    private static final FileTime BEGINNING = FileTime.fromMillis(Long.MIN_VALUE);

    private final Path root;
    private final Duration settled;
    private final InstantSource clock;
    private Optional<Opening> last = Optional.empty();

    /// @param settled how long no file of a checkpoint may have changed before it counts as done
    JobFolder(Path root, Duration settled, InstantSource clock) {
        this.root = root;
        this.settled = settled;
        this.clock = clock;
    }

    /// A checkpoint that its job is done with.
    record Committed(CheckpointFormat format, Reading reading, Saved saved, PointerFile pointer) {
        /// @throws IOException where it cannot be read
        OpenedSource opened() throws IOException {
            return reading.opened();
        }
    }

    /// A checkpoint that was opened, or why it could not be.
    record Reading(Optional<OpenedSource> source, Optional<IOException> failure) {
        static Reading of(OpenedSource opened) {
            return new Reading(Optional.of(opened), Optional.empty());
        }

        OpenedSource opened() throws IOException {
            if (failure.isPresent()) {
                throw failure.get();
            }
            return source.orElseThrow();
        }

        boolean isOf(Path folder) {
            return source.isEmpty() || source.get().taken().folder().equals(folder);
        }
    }

    /// What came of opening a checkpoint, and of which files that is true.
    ///
    /// @param beside the files that lie in the root itself
    private record Opening(
            Path base,
            String format,
            Saved saved,
            Map<String, Saved.Stamp> beside,
            Reading reading) {
        boolean isOf(Path path, String name, Saved files, Map<String, Saved.Stamp> others) {
            return base.equals(path)
                    && format.equals(name)
                    && saved.equals(files)
                    && beside.equals(others);
        }
    }

    /// The one that the job's pointer names, or that is marked in its own folder; the formats in
    /// the order in which checkpoints are read. A root without either has none yet.
    Optional<Committed> committed() throws IOException {
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
                Reading reading = open(base, format, Saved.in(root, named.get()));
                Saved saved = Saved.in(root, named.get());
                // Else another one was committed while this one was opened.
                boolean same = reading.isOf(named.get().folder());
                return same && PointerFile.read(root, named.get()).equals(pointer)
                        ? Optional.of(new Committed(format, reading, saved, pointer))
                        : Optional.empty();
            }
        }
        return Optional.empty();
    }

    private Reading open(Path base, CheckpointFormat format, Saved saved) throws IOException {
        Map<String, Saved.Stamp> beside = Saved.stamps(root, 1);
        Opening opening = last.orElse(null);
        if (opening == null || !opening.isOf(base, format.name(), saved, beside)) {
            last = Optional.empty();
            opening = new Opening(base, format.name(), saved, beside, read(base, format));
            last = Optional.of(opening);
        }
        return opening.reading();
    }

    private static Reading read(Path base, CheckpointFormat format) throws IOException {
        try {
            return Reading.of(OpenedSource.open(base, Optional.of(format.name())));
        } catch (IncompleteCheckpointException | MalformedFileException e) {
            return new Reading(Optional.empty(), Optional.of(e));
        }
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
            FileTime at = Saved.in(root, candidate).at();
            boolean later = at.compareTo(latest) > 0 && !isSecondName(candidate.folder());
            if (format.isMarkedInside() && later) {
                newest = Optional.of(candidate);
                latest = at;
            }
        }
        return newest;
    }

    /// Whether it is a link to another folder of the root, which is found by its own name.
    private boolean isSecondName(Path folder) throws IOException {
        return Files.isSymbolicLink(folder)
                && root.toRealPath().equals(folder.toRealPath().getParent());
    }

    /// All checkpoints of a format in a folder.
    static List<Saved> all(Path folder, CheckpointFormat format) throws IOException {
        List<Saved> all = new ArrayList<>();
        for (Candidate candidate : format.find(folder)) {
            if (Files.isDirectory(candidate.folder())) {
                all.add(Saved.in(folder, candidate));
            }
        }
        return all;
    }

    /// Whether nothing is there yet that is a checkpoint of any format.
    boolean isBare() throws IOException {
        if (Files.isDirectory(root)) {
            for (CheckpointFormat format : CheckpointFormat.all()) {
                if (!format.find(root).isEmpty()) {
                    return false;
                }
            }
        }
        return true;
    }

    /// Whether a folder is a checkpoint of the same format that lies in it as `saved` does in its
    /// own; not one in which others lie.
    static boolean isLike(Path folder, Saved saved, CheckpointFormat format) throws IOException {
        Path own = folder.resolve(saved.folder().relativize(saved.own()).toString());
        return format.find(folder).stream().anyMatch(found -> found.folder().equals(own));
    }

    /// Whether the job has come back to a checkpoint since it was looked at: its files are others,
    /// or it is the newest now.
    boolean isTakenUp(Saved saved, CheckpointFormat format) throws IOException {
        Optional<Candidate> now = newest(format.find(root), format);
        return !saved.isLike(saved.folder())
                || (now.isPresent()
                        && now.get().folder().toRealPath().startsWith(saved.folder().toRealPath()));
    }

    boolean isSettled(Saved saved) {
        return !saved.at().toInstant().plus(settled).isAfter(clock.instant());
    }

    /// What else the job has saved there, the newest first; not what it is at present saving.
    List<Saved> older(Committed newest) throws IOException {
        Set<Path> seen = new HashSet<>();
        List<Saved> older = new ArrayList<>();
        for (Candidate other : newest.format().find(root)) {
            add(older, seen, other, newest);
        }
        older.sort(Comparator.comparing(Saved::at).reversed().thenComparing(Saved::folder));
        return older;
    }

    private void add(List<Saved> older, Set<Path> seen, Candidate candidate, Committed newest)
            throws IOException {
        if (!Files.isDirectory(candidate.folder()) || isSecondName(candidate.folder())) {
            return;
        }
        Saved saved = Saved.in(root, candidate);
        boolean before =
                !Files.isSameFile(saved.folder(), newest.saved().folder())
                        && saved.at().compareTo(newest.saved().at()) <= 0
                        && isSettled(saved);
        if (before && seen.add(saved.folder())) {
            older.add(saved);
        }
    }
}
