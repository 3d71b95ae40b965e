package io.ucp.cli;

import io.ucp.execute.Progress;

import java.io.PrintWriter;
import java.io.Writer;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/// The progress line: how far, how fast, how long still. On a terminal one line that is drawn over,
/// else (`--progress always` in a pipe) a line every few seconds.
final class Meter implements Progress, AutoCloseable {
    /// When to show it.
    enum When {
        auto,
        always,
        never
    }

    private static final int BAR = 24;
    private static final long DRAW_NANOS = 100_000_000L;
    private static final long LINE_NANOS = 5_000_000_000L;

    private final PrintWriter err;
    private final Terminal terminal;
    private final String verb;
    private final LongSupplier clock;
    private volatile long start;

    /// Of the work that goes on; another total is other work, which begins when that is over.
    private final AtomicLong work = new AtomicLong(-1);

    private final AtomicLong furthest = new AtomicLong();
    private final AtomicLong next;
    private int drawn;

    /// @param clock nanoseconds, of any origin
    Meter(PrintWriter err, Terminal terminal, String verb, LongSupplier clock) {
        this.err = err;
        this.terminal = terminal;
        this.verb = verb;
        this.clock = clock;
        this.start = clock.getAsLong();
        this.next = new AtomicLong(start + interval());
    }

    /// A meter that shows itself, or none.
    static Meter of(When when, boolean quiet, PrintWriter err, String verb) {
        Terminal terminal = Terminal.err();
        boolean shown = when == When.always || (when == When.auto && terminal.interactive());
        return new Meter(shown && !quiet ? err : SILENT, terminal, verb, System::nanoTime);
    }

    private static final PrintWriter SILENT = new PrintWriter(Writer.nullWriter());

    private long interval() {
        return terminal.interactive() ? DRAW_NANOS : LINE_NANOS;
    }

    @Override
    public void at(long done, long total) {
        long now = clock.getAsLong();
        long before = work.get();
        if (before != total && work.compareAndSet(before, total) && before >= 0) {
            furthest.set(0);
            start = now;
        }
        long far = furthest.accumulateAndGet(done, Math::max);
        long due = next.get();
        // Whoever moves the time of the next line draws this one: nobody waits for a terminal.
        if (now - due >= 0 && next.compareAndSet(due, now + interval())) {
            draw(line(far, total, Duration.ofNanos(now - start)));
        }
    }

    String line(long done, long total, Duration took) {
        double part = total <= 0 ? 1 : (double) done / total;
        int filled = Math.clamp(Math.round(part * BAR), 0, BAR);
        double seconds = took.toNanos() / 1e9;
        Duration left =
                done == 0
                        ? Duration.ZERO
                        : Duration.ofMillis((long) (seconds * 1000 * (total - done) / done));
        String bar = "#".repeat(filled) + "-".repeat(BAR - filled);
        return "%s [%s] %3d%%  %s of %s  %s  %s left"
                .formatted(
                        verb,
                        bar,
                        (int) (part * 100),
                        Quantity.bytes(done),
                        Quantity.bytes(total),
                        Quantity.rate(done, took),
                        done == 0 ? "?" : clockTime(left));
    }

    private static String clockTime(Duration left) {
        return "%d:%02d".formatted(left.toMinutes(), left.toSecondsPart());
    }

    private synchronized void draw(String line) {
        if (!terminal.interactive()) {
            err.println(line);
            return;
        }
        String fitting = line.substring(0, Math.min(line.length(), terminal.columns() - 1));
        err.print("\r" + fitting + " ".repeat(Math.max(0, drawn - fitting.length())));
        err.flush();
        drawn = fitting.length();
    }

    /// Wipes the line.
    @Override
    public synchronized void close() {
        if (drawn > 0) {
            err.print("\r" + " ".repeat(drawn) + "\r");
            err.flush();
            drawn = 0;
        }
    }
}
