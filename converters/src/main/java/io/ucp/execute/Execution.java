package io.ucp.execute;

import io.ucp.plan.CopyPlan;
import io.ucp.plan.TargetPlan;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;

/// What the workers of one run share.
final class Execution {
    private final Options options;
    private final Optional<Path> folder;
    private final Progress progress;
    private final long total;
    private final OpenSources sources;
    private final Tallies tallies;
    private final Differences differences = new Differences();
    private final AtomicLong done = new AtomicLong();
    private final LongAdder bytesWritten = new LongAdder();
    private final LongAdder bytesCloned = new LongAdder();
    private final LongAdder filesWritten = new LongAdder();
    private final LongAdder windows = new LongAdder();
    private final AtomicBoolean stopped = new AtomicBoolean();
    private int atOnce;

    /// @param folder absent where nothing is written
    Execution(
            CopyPlan plan,
            Optional<Path> folder,
            Options options,
            Progress progress,
            OpenSources sources) {
        this.options = options;
        this.folder = folder;
        this.progress = progress;
        this.total = plan.size();
        this.sources = sources;
        this.tallies = new Tallies(plan);
    }

    Options options() {
        return options;
    }

    Optional<Path> folder() {
        return folder;
    }

    OpenSources sources() {
        return sources;
    }

    Tallies tallies() {
        return tallies;
    }

    Differences differences() {
        return differences;
    }

    /// @param number of the target in the plan
    Output open(int number, TargetPlan target) throws IOException {
        Path root = folder.orElseThrow().normalize();
        Path path = root.resolve(target.path()).normalize();
        if (!path.startsWith(root) || path.equals(root)) {
            throw new IllegalArgumentException(
                    "target `%s` is outside the output folder".formatted(target.path()));
        }
        Optional<Journal.Windowed> journal = options.journal().map(j -> j.of(number));
        int most = atOnce(root);
        return target.assembler().isPresent()
                ? new Output.Encoded(
                        path,
                        most,
                        bytesWritten,
                        journal,
                        target.assembler().get(),
                        this::isStopped)
                : new Output.Plain(path, most, bytesWritten, journal, target);
    }

    /// Asked once: the JDK reads the table of all mounts for it.
    private synchronized int atOnce(Path root) throws IOException {
        if (atOnce == 0) {
            atOnce = Output.atOnce(Files.createDirectories(root));
        }
        return atOnce;
    }

    void done(long bytes) {
        windows.increment();
        progress.at(done.addAndGet(bytes), total);
    }

    /// A whole target became a clone of its source.
    void cloned(long bytes) {
        bytesCloned.add(bytes);
        progress.at(done.addAndGet(bytes), total);
    }

    void written() {
        filesWritten.increment();
    }

    /// One worker failed, or the work is no longer wanted: all end at their next window.
    void stop() {
        stopped.set(true);
    }

    private boolean isStopped() {
        return stopped.get() || options.cancelled().getAsBoolean();
    }

    void checkGoing() {
        if (isStopped()) {
            throw new CancellationException("stopped before the end");
        }
    }

    ExecutionResult result(CopyPlan plan) {
        return new ExecutionResult(
                tallies.digests(),
                differences.of(plan),
                new ExecutionResult.Counts(
                        sources.bytesRead(),
                        bytesWritten.sum(),
                        options.journal().map(Journal::bytesKept).orElse(0L),
                        bytesCloned.sum(),
                        sources.opened(),
                        filesWritten.sum(),
                        windows.sum()));
    }
}
