package io.ucp.execute;

import io.ucp.plan.CopyPlan;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;

/// Executes plans in this process: workers that each take a target, and help with the others' large
/// ones when no new target is left (two writers on one file gain little, two files much).
public final class PlanExecutor {
    private PlanExecutor() {}

    /// Writes every target of the plan into `folder`, which the caller made for the purpose and
    /// renames or removes: after an error it holds unfinished files. Copies that differ do not stop
    /// it; they are in the result.
    ///
    /// @throws io.ucp.io.MalformedFileException where a source is shorter than it was, or not what
    ///   its own checksums say
    /// @throws IOException that names the file
    /// @throws CancellationException where the options or an interrupt say so
    public static ExecutionResult execute(
            CopyPlan plan, Path folder, Options options, Progress progress) throws IOException {
        return run(plan, Optional.of(folder), options, progress);
    }

    /// Does all of it except writing: digests and comparisons.
    public static ExecutionResult read(CopyPlan plan, Options options, Progress progress)
            throws IOException {
        return run(plan, Optional.empty(), options, progress);
    }

    /// The memory outside of the heap that writing the plan takes.
    public static long bufferBytes(CopyPlan plan, Options options) {
        Buffers.Sizes sizes = Buffers.Sizes.of(plan, options.bufferBytes(), true);
        return options.threads() * sizes.total();
    }

    private static ExecutionResult run(
            CopyPlan plan, Optional<Path> folder, Options options, Progress progress)
            throws IOException {
        int limit = Math.max(options.openSources(), options.threads());
        SourceChecks checks = new SourceChecks(options.checksums());
        try (OpenSources sources = new OpenSources(limit, checks)) {
            Execution execution = new Execution(plan, folder, options, progress, sources);
            List<TargetJob> jobs = TargetJob.all(plan.targets(), execution);
            try {
                runWorkers(plan, jobs, execution);
            } finally {
                for (TargetJob job : jobs) {
                    job.close();
                }
            }
            checks.finish(sources);
            return execution.result(plan);
        }
    }

    private static void runWorkers(CopyPlan plan, List<TargetJob> jobs, Execution execution)
            throws IOException {
        Options options = execution.options();
        Buffers.Sizes sizes =
                Buffers.Sizes.of(plan, options.bufferBytes(), execution.folder().isPresent());
        AtomicInteger next = new AtomicInteger();
        List<Future<?>> workers = new ArrayList<>();
        try (ExecutorService pool =
                Executors.newFixedThreadPool(
                        options.threads(), Thread.ofPlatform().name("ucp-copy-", 0).factory())) {
            for (int k = 0; k < options.threads(); k++) {
                workers.add(
                        pool.submit(
                                () -> {
                                    work(jobs, next, execution, sizes);
                                    return null;
                                }));
            }
            join(workers, execution);
        }
    }

    private static void work(
            List<TargetJob> jobs, AtomicInteger next, Execution execution, Buffers.Sizes sizes)
            throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Buffers buffers = Buffers.in(arena, sizes);
            WindowSums sums = new WindowSums();
            WindowFiller filler =
                    new WindowFiller(
                            execution.sources(),
                            execution.differences(),
                            buffers,
                            sums,
                            execution.options().checksWeights());
            Worker worker = new Worker(buffers, filler, sums);
            for (int k = next.getAndIncrement(); k < jobs.size(); k = next.getAndIncrement()) {
                execution.checkGoing();
                jobs.get(k).work(worker);
            }
            for (TargetJob job : jobs) {
                job.work(worker);
            }
        } catch (IOException | RuntimeException | Error e) {
            execution.stop();
            throw e;
        }
    }

    /// Waits for all and throws what went wrong first; that others stopped because of it does not
    /// count.
    private static void join(List<Future<?>> workers, Execution execution) throws IOException {
        Throwable cause = null;
        boolean interrupted = false;
        for (Future<?> worker : workers) {
            while (true) {
                try {
                    worker.get();
                    break;
                } catch (InterruptedException e) {
                    interrupted = true;
                    execution.stop();
                } catch (ExecutionException e) {
                    Throwable found = e.getCause();
                    if (cause == null || cause instanceof CancellationException) {
                        cause = found;
                    }
                    break;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        switch (cause) {
            case null -> {}
            case IOException e -> throw e;
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            default -> throw new IllegalStateException(cause);
        }
    }
}
