package io.ucp.snapshot;

import java.io.InterruptedIOException;
import java.util.function.LongSupplier;

/// Holds a copy to so many bytes a second, so that the job beside it is not slowed down.
public final class RateLimit {
    private final long bytesPerSecond;
    private final LongSupplier clock;
    private final Pause pause;
    private final long start;
    private long bytes;

    /// Waits.
    @FunctionalInterface
    interface Pause {
        void nanos(long nanos) throws InterruptedException;
    }

    /// @param bytesPerSecond 0 for no limit
    public RateLimit(long bytesPerSecond) {
        this(bytesPerSecond, System::nanoTime, nanos -> Thread.sleep(nanos / 1_000_000));
    }

    /// @param clock nanoseconds, of any origin
    RateLimit(long bytesPerSecond, LongSupplier clock, Pause pause) {
        this.bytesPerSecond = bytesPerSecond;
        this.clock = clock;
        this.pause = pause;
        this.start = clock.getAsLong();
    }

    /// Counts bytes that were moved, and waits until that many may have been.
    void moved(long count) throws InterruptedIOException {
        bytes += count;
        if (bytesPerSecond <= 0) {
            return;
        }
        long due = start + (long) (bytes * 1e9 / bytesPerSecond);
        long wait = due - clock.getAsLong();
        if (wait > 0) {
            try {
                pause.nanos(wait);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("stopped");
            }
        }
    }
}
