package io.ucp.convert;

import io.ucp.execute.Observer;
import io.ucp.plan.TargetPlan;

import java.nio.ByteBuffer;
import java.util.concurrent.CancellationException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.LongConsumer;
import java.util.function.LongSupplier;

/// Holds the workers of a run back to a rate: a window may go on when those before it have had
/// their time. What was not used of a pause is not made up for, so that the disk never sees more
/// than a window a worker at once.
final class Pace implements Observer {
    private static final long SLICE_NANOS = 100_000_000;

    private final long rate;
    private final BooleanSupplier cancelled;
    private final LongSupplier clock;
    private final LongConsumer pause;
    private long free;

    /// @param rate bytes of the target a second
    static Pace of(long rate, BooleanSupplier cancelled) {
        return new Pace(rate, cancelled, System::nanoTime, LockSupport::parkNanos);
    }

    /// @param clock nanoseconds, of any origin
    /// @param pause waits about so many nanoseconds
    Pace(long rate, BooleanSupplier cancelled, LongSupplier clock, LongConsumer pause) {
        this.rate = rate;
        this.cancelled = cancelled;
        this.clock = clock;
        this.pause = pause;
        this.free = clock.getAsLong();
    }

    @Override
    public void see(TargetPlan target, long from, ByteBuffer window) {
        long until = claim(window.limit());
        for (long left = until - clock.getAsLong(); left > 0; left = until - clock.getAsLong()) {
            if (cancelled.getAsBoolean()) {
                throw new CancellationException("stopped before the end");
            }
            pause.accept(Math.min(left, SLICE_NANOS));
        }
    }

    /// When a window of that many bytes may go on.
    private synchronized long claim(long bytes) {
        long start = Math.max(free, clock.getAsLong());
        free = start + (long) (bytes * 1e9 / rate);
        return start;
    }
}
