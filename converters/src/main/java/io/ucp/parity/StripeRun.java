package io.ucp.parity;

import io.ucp.convert.RunOptions;
import io.ucp.execute.Progress;

import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/// Goes through stripes with several workers, each with its own buffers.
final class StripeRun {
    private StripeRun() {}

    /// Owned by one thread.
    interface Worker extends Closeable {
        /// @return bytes that progress counts
        long work(Stripe stripe) throws IOException;
    }

    /// Makes a worker, in its thread.
    @FunctionalInterface
    interface Workers {
        Worker open() throws IOException;
    }

    /// All stripes of all sets.
    static List<Stripe> all(List<Stripes> sets) {
        List<Stripe> all = new ArrayList<>();
        for (int s = 0; s < sets.size(); s++) {
            for (int t = 0; t < sets.get(s).count(); t++) {
                all.add(new Stripe(s, t));
            }
        }
        return all;
    }

    /// Returns when all are done; throws what went wrong first.
    ///
    /// @param total bytes, for the progress
    /// @throws CancellationException where the options say so
    static void over(
            List<Stripe> stripes,
            Workers workers,
            RunOptions options,
            Progress progress,
            long total)
            throws IOException {
        AtomicInteger next = new AtomicInteger();
        AtomicLong done = new AtomicLong();
        AtomicBoolean stopped = new AtomicBoolean();
        int threads = Math.clamp(stripes.size(), 1, options.threads());
        List<Future<?>> running = new ArrayList<>();
        try (ExecutorService pool =
                Executors.newFixedThreadPool(
                        threads, Thread.ofPlatform().name("ucp-parity-", 0).factory())) {
            for (int k = 0; k < threads; k++) {
                running.add(
                        pool.submit(
                                () -> {
                                    try (Worker worker = workers.open()) {
                                        int at = next.getAndIncrement();
                                        while (at < stripes.size() && !stopped.get()) {
                                            if (options.cancelled().getAsBoolean()) {
                                                throw new CancellationException("stopped");
                                            }
                                            long bytes = worker.work(stripes.get(at));
                                            progress.at(done.addAndGet(bytes), total);
                                            at = next.getAndIncrement();
                                        }
                                    } finally {
                                        // One that ends early ends the others; at the end of the
                                        // work there is nothing left to stop.
                                        stopped.compareAndSet(false, next.get() < stripes.size());
                                    }
                                    return null;
                                }));
            }
            join(running, stopped);
        }
    }

    private static void join(List<Future<?>> running, AtomicBoolean stopped) throws IOException {
        Throwable first = null;
        for (Future<?> each : running) {
            try {
                each.get();
            } catch (InterruptedException e) {
                stopped.set(true);
                Thread.currentThread().interrupt();
                first = first == null ? new CancellationException("interrupted") : first;
            } catch (ExecutionException e) {
                first = first == null ? e.getCause() : first;
            }
        }
        switch (first) {
            case null -> {}
            case IOException e -> throw e;
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            default -> throw new IllegalStateException(first);
        }
    }
}
