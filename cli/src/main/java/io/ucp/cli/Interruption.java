package io.ucp.cli;

import java.io.PrintWriter;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;

/// Ctrl-C and SIGTERM while something is being written: the work is told to stop, and the process
/// ends only when it has left in order what it wrote (or after half a minute).
///
/// The JVM itself then ends with 130 or 143.
final class Interruption implements AutoCloseable, BooleanSupplier {
    private static final long PATIENCE_SECONDS = 30;

    private final CountDownLatch ended = new CountDownLatch(1);
    private final Thread hook;
    private volatile boolean requested;

    private Interruption(PrintWriter err, String command) {
        this.hook =
                Thread.ofPlatform()
                        .name("ucp-stop")
                        .unstarted(
                                () -> {
                                    requested = true;
                                    if (Terminal.err().interactive()) {
                                        err.println(); // off the progress line
                                    }
                                    err.println(command + ": stopping");
                                    await();
                                });
    }

    /// From here until [#close] the process waits for the work when it is to end.
    static Interruption armed(PrintWriter err, String command) {
        Interruption interruption = new Interruption(err, command);
        Runtime.getRuntime().addShutdownHook(interruption.hook);
        return interruption;
    }

    private void await() {
        try {
            if (!ended.await(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                return;
            }
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }

    /// Whether the work is to stop.
    @Override
    public boolean getAsBoolean() {
        return requested;
    }

    @Override
    public void close() {
        ended.countDown();
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException _) {
            // The JVM is ending already, and the hook with it.
        }
    }
}
