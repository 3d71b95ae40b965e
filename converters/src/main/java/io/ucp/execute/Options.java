package io.ucp.execute;

import io.ucp.io.Checksummed;

import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/// How to execute.
///
/// @param threads workers
/// @param bufferBytes size of a window, the unit of reading, checking and writing; a worker holds
///   up to four buffers of about this size (or one of the largest compressed window)
/// @param openSources source files that may be open at a time; never fewer than the workers need
/// @param sync whether every file is forced to disk before it counts as written
/// @param journal says what an earlier run left, and is told what this one wrote; without it every
///   target must be new
/// @param checksums what the sources keep of themselves, to hold what is read against
/// @param observer sees every window
/// @param cancelled asked before every window; true stops with a
///   [java.util.concurrent.CancellationException]
/// @param checksWeights whether weights made of a master are held against those that the source has
/// @param clones whether a target that is a whole source file becomes a clone of it where the file
///   system has such; what is cloned is not read
public record Options(
        int threads,
        int bufferBytes,
        int openSources,
        boolean sync,
        Optional<Journal> journal,
        List<Checksummed> checksums,
        Observer observer,
        BooleanSupplier cancelled,
        boolean checksWeights,
        boolean clones) {
    public Options {
        if (threads < 1 || bufferBytes < 1 || openSources < 1) {
            throw new IllegalArgumentException("threads, buffers and sources start at 1");
        }
        checksums = List.copyOf(checksums);
    }

    /// A worker a processor, windows of 1 MiB, 256 open sources, no forcing to disk.
    public static Options standard() {
        return new Options(
                Runtime.getRuntime().availableProcessors(),
                1 << 20,
                256,
                false,
                Optional.empty(),
                List.of(),
                Observer.NONE,
                () -> false,
                true,
                false);
    }

    public Options withThreads(int changed) {
        return with(draft -> draft.threads = changed);
    }

    public Options withBufferBytes(int changed) {
        return with(draft -> draft.bufferBytes = changed);
    }

    public Options withOpenSources(int changed) {
        return with(draft -> draft.openSources = changed);
    }

    public Options withSync(boolean changed) {
        return with(draft -> draft.sync = changed);
    }

    public Options withJournal(Journal changed) {
        return with(draft -> draft.journal = Optional.of(changed));
    }

    public Options withChecksums(List<Checksummed> changed) {
        return with(draft -> draft.checksums = changed);
    }

    public Options withObserver(Observer changed) {
        return with(draft -> draft.observer = changed);
    }

    public Options withCancelled(BooleanSupplier changed) {
        return with(draft -> draft.cancelled = changed);
    }

    public Options withCheckedWeights(boolean changed) {
        return with(draft -> draft.checksWeights = changed);
    }

    public Options withClones(boolean changed) {
        return with(draft -> draft.clones = changed);
    }

    private Options with(Consumer<Draft> change) {
        Draft draft = new Draft(this);
        change.accept(draft);
        return draft.done();
    }

    /// The same, to be changed.
    private static final class Draft {
        private int threads;
        private int bufferBytes;
        private int openSources;
        private boolean sync;
        private Optional<Journal> journal;
        private List<Checksummed> checksums;
        private Observer observer;
        private BooleanSupplier cancelled;
        private boolean checksWeights;
        private boolean clones;

        Draft(Options of) {
            this.threads = of.threads;
            this.bufferBytes = of.bufferBytes;
            this.openSources = of.openSources;
            this.sync = of.sync;
            this.journal = of.journal;
            this.checksums = of.checksums;
            this.observer = of.observer;
            this.cancelled = of.cancelled;
            this.checksWeights = of.checksWeights;
            this.clones = of.clones;
        }

        Options done() {
            return new Options(
                    threads,
                    bufferBytes,
                    openSources,
                    sync,
                    journal,
                    checksums,
                    observer,
                    cancelled,
                    checksWeights,
                    clones);
        }
    }
}
