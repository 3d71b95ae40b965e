package io.ucp.convert;

import io.ucp.execute.Journal;
import io.ucp.formats.TargetTree.SmallFile;
import io.ucp.io.FileIdentity;
import io.ucp.io.NativeFiles;
import io.ucp.plan.CopyPlan;

import org.jspecify.annotations.Nullable;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/// A folder that appears whole or not at all: made in a [WorkFolder] beside its final name, which
/// it gets when all of it is there. Where that does not come about, what was written stays for a
/// run that goes on with it.
///
/// What has the name already is replaced by one exchange of names where the system has that. Where
/// it has not, `out` is moved to `replaced` and `output` to `out`: a process that ends between the
/// two leaves no `out` for the moment, and the next one with this target completes it.
public final class OutputFolder implements Closeable {
    private final Path target;
    private final Rules rules;
    private final WorkFolder work;
    private @Nullable Journal journal;
    private boolean complete;
    private boolean committed;
    private boolean discarded;

    /// @param leftover what to do with the work of an earlier run
    /// @param overwrite whether a checkpoint of that name is replaced
    /// @param sync whether everything is forced to the disk before the output gets its name
    public record Rules(Leftover leftover, boolean overwrite, boolean sync) {
        public static Rules standard() {
            return new Rules(Leftover.REFUSE, false, true);
        }
    }

    private OutputFolder(Path target, Rules rules, WorkFolder work) {
        this.target = target;
        this.rules = rules;
        this.work = work;
    }

    /// @throws OutputExistsException where `target` is there and not to be replaced
    /// @throws LeftoverException where an earlier run was cut off and the rules do not say what to
    ///   do about it, or one is running
    /// @throws io.ucp.formats.RefusedException where the earlier run was of another job, or what is
    ///   to be replaced is no checkpoint
    static OutputFolder open(Path target, Rules rules, JobRecord job, CopyPlan plan)
            throws IOException {
        Path absolute = target.toAbsolutePath().normalize();
        Path parent = absolute.getParent();
        if (parent == null) {
            throw new OutputExistsException(target);
        }
        boolean left = Files.exists(WorkFolder.beside(absolute), LinkOption.NOFOLLOW_LINKS);
        if (!left) {
            requireFree(absolute, rules);
        }
        OutputFolder folder =
                new OutputFolder(absolute, rules, workFolder(absolute, parent, rules));
        try {
            folder.begin(job, plan);
            return folder;
        } catch (IOException | RuntimeException | Error e) {
            folder.letGo();
            throw e;
        }
    }

    /// Refuses at once what opening it would, where reading the source comes before that.
    ///
    /// @throws OutputExistsException where `target` is there and not to be replaced
    /// @throws LeftoverException where an earlier run was cut off and the rules do not say what to
    ///   do about it, or one is running
    static void require(Path target, Rules rules) throws IOException {
        Path absolute = target.toAbsolutePath().normalize();
        Path parent = absolute.getParent();
        if (parent == null
                || !Files.exists(WorkFolder.beside(absolute), LinkOption.NOFOLLOW_LINKS)) {
            requireFree(absolute, rules);
            return;
        }
        OutputFolder folder =
                new OutputFolder(absolute, rules, workFolder(absolute, parent, rules));
        try {
            if (folder.work.committing().isEmpty()) {
                folder.before();
                requireFree(absolute, rules);
            }
        } finally {
            folder.letGo();
        }
    }

    private static WorkFolder workFolder(Path absolute, Path parent, Rules rules)
            throws IOException {
        try {
            createAll(parent, rules.sync());
            return WorkFolder.take(absolute);
        } catch (IOException e) {
            throw Unwritable.in(parent, e);
        }
    }

    private void begin(JobRecord job, CopyPlan plan) throws IOException {
        boolean goesOn = !work.created() && goesOn(job);
        if (complete) {
            return;
        }
        requireFree(target, rules);
        if (goesOn) {
            Set<Path> planned =
                    plan.targets().stream()
                            .map(t -> work.output().resolve(t.path()).normalize())
                            .collect(Collectors.toSet());
            FolderTree.keepOnly(work.output(), planned);
        } else {
            work.clear();
            requireFree(target, rules); // what was being replaced may have its name back
            work.begin(job, rules.sync());
        }
        journal = Journal.open(work.journal(), plan, job.windowBytes());
    }

    /// Whether what lies there is gone on with; completes what an earlier run was about to.
    private boolean goesOn(JobRecord job) throws IOException {
        Optional<String> committing = work.committing();
        if (committing.isPresent() && named(committing.get())) {
            complete =
                    rules.leftover() == Leftover.RESUME
                            && JobRecord.read(work.job()).filter(job::isSame).isPresent();
            work.clear();
            return false;
        }
        work.commitsNoMore();
        Optional<JobRecord> before = before();
        if (before.isEmpty()) {
            return false; // it had hardly begun
        }
        return switch (rules.leftover()) {
            case REFUSE, RESTART -> false; // refused by now
            case RESUME -> {
                job.requireGoesOn(before.get(), work.path());
                yield true;
            }
        };
    }

    /// The job that was cut off here, if any had begun.
    ///
    /// @throws LeftoverException where the rules do not say what to do about it
    private Optional<JobRecord> before() throws IOException {
        Optional<JobRecord> before = JobRecord.read(work.job());
        if (before.isEmpty() || !Files.isDirectory(work.output(), LinkOption.NOFOLLOW_LINKS)) {
            return Optional.empty();
        }
        if (rules.leftover() == Leftover.REFUSE) {
            throw LeftoverException.cutOff(target, work.path());
        }
        return before;
    }

    /// Whether the output has its name, or gets it now because only that was missing.
    private boolean named(String identity) throws IOException {
        boolean made = Files.isDirectory(work.output(), LinkOption.NOFOLLOW_LINKS);
        boolean there = Files.isDirectory(target, LinkOption.NOFOLLOW_LINKS);
        if (there) {
            return identity.isEmpty() ? !made : FileIdentity.of(target).equals(identity);
        }
        if (made && Files.exists(work.replaced(), LinkOption.NOFOLLOW_LINKS)) {
            Files.move(work.output(), target, StandardCopyOption.ATOMIC_MOVE);
            return true;
        }
        return false;
    }

    private static void requireFree(Path target, Rules rules) throws IOException {
        if (!Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        if (!rules.overwrite()) {
            throw OutputExistsException.replaceable(target);
        }
        Replaceable.require(target);
    }

    /// Makes a folder and those that it is in.
    private static void createAll(Path folder, boolean sync) throws IOException {
        Deque<Path> missing = new ArrayDeque<>();
        for (Path at = folder; at != null && !Files.exists(at); at = at.getParent()) {
            missing.push(at);
        }
        Files.createDirectories(folder);
        for (Path made : missing) {
            Path parent = made.getParent();
            if (sync && parent != null) {
                FolderTree.flushOne(parent);
            }
        }
    }

    /// Whether an earlier run completed the output and was cut off while it tidied up: nothing is
    /// to be written.
    boolean complete() {
        return complete;
    }

    /// Where to write until [#commit].
    Path output() {
        return work.output();
    }

    Optional<Journal> journal() {
        return Optional.ofNullable(journal);
    }

    /// Refuses before the first byte where the disk cannot hold what is to come.
    ///
    /// @param size bytes of the whole output
    void requireSpace(long size) throws IOException {
        long free = Files.getFileStore(work.path()).getUsableSpace();
        long needed = size - (journal == null ? 0 : journal.bytesClaimed());
        if (free < needed) {
            throw new FileSystemException(
                    target.toString(),
                    null,
                    "no space: %,d bytes are free on this disk; expected %,d\nhint: free some room or choose an -o elsewhere"
                            .formatted(free, needed));
        }
    }

    /// Writes a small file below [#output].
    void write(SmallFile file) throws IOException {
        Path path = work.output().resolve(file.path());
        Path parent = path.getParent();
        if (parent != null) {
            Files.createDirectories(parent);
        }
        WorkFolder.write(path, file.bytes(), rules.sync());
    }

    /// Flushes the folders and gives the output its final name.
    ///
    /// @return what could not be tidied up, in words
    /// @throws OutputExistsException where something took that name meanwhile
    Optional<String> commit() throws IOException {
        if (rules.sync()) {
            FolderTree.flush(work.output());
        }
        work.commits(FileIdentity.of(work.output()), rules.sync());
        requireFree(target, rules);
        boolean there = Files.exists(target, LinkOption.NOFOLLOW_LINKS);
        if (!there || !NativeFiles.exchange(work.output(), target)) {
            rename(there);
        }
        committed = true;
        if (rules.sync()) {
            FolderTree.flushOne(work.path().resolveSibling("."));
        }
        try {
            closeJournal();
            work.remove();
            return Optional.empty();
        } catch (IOException e) {
            return Optional.of(
                    "%s could not be removed (%s); it is of no use any more"
                            .formatted(work.path(), e.getMessage()));
        }
    }

    private void rename(boolean replaces) throws IOException {
        if (!replaces) {
            Files.move(work.output(), target, StandardCopyOption.ATOMIC_MOVE);
            return;
        }
        Files.move(target, work.replaced(), StandardCopyOption.ATOMIC_MOVE);
        try {
            Files.move(work.output(), target, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            Files.move(work.replaced(), target, StandardCopyOption.ATOMIC_MOVE);
            throw e;
        }
    }

    /// What was written is of no use: the next run could only find the same again.
    void discard() {
        discarded = true;
    }

    /// What stays when this is closed now, empty where it is nothing that was worth it.
    Optional<WorkKeptException> kept() throws IOException {
        if (committed || discarded || journal == null) {
            return Optional.empty();
        }
        long size = journal.bytesClaimed();
        return size == 0 ? Optional.empty() : Optional.of(new WorkKeptException(work.path(), size));
    }

    @Override
    public void close() throws IOException {
        if (committed || complete) {
            closeJournal();
            if (!committed) {
                work.remove();
            }
            return;
        }
        boolean keeps = kept().isPresent();
        closeJournal();
        if (keeps) {
            work.close();
        } else {
            work.remove();
        }
    }

    private void closeJournal() throws IOException {
        if (journal != null) {
            journal.close();
            journal = null;
        }
    }

    /// Nothing was done here. What is left of a run that was cut off while it tidied up goes too:
    /// what certainly cannot go on, not what a failing disk does not show.
    private void letGo() throws IOException {
        closeJournal();
        boolean bare = Files.notExists(work.output(), LinkOption.NOFOLLOW_LINKS);
        boolean ended = Files.notExists(work.job()) || (bare && work.committing().isEmpty());
        if (work.created() || ended) {
            work.remove();
        } else {
            work.close();
        }
    }
}
