package io.ucp.convert;

import java.util.function.BooleanSupplier;

/// How a conversion is run.
///
/// @param threads workers
/// @param windowBytes what a worker reads, checks and writes at a time
/// @param strict refuse where the target loses something or copies differ (`take first`)
/// @param output what becomes of what lies there already, and whether files are forced to the disk
/// @param cancelled asked often; true stops
public record RunOptions(
        int threads,
        int windowBytes,
        boolean strict,
        OutputFolder.Rules output,
        BooleanSupplier cancelled) {
    /// Of a window where nothing else is asked for.
    public static final int WINDOW_BYTES = 1 << 20;

    public static RunOptions standard() {
        return new RunOptions(
                Runtime.getRuntime().availableProcessors(),
                WINDOW_BYTES,
                false,
                OutputFolder.Rules.standard(),
                () -> false);
    }

    public RunOptions withThreads(int changed) {
        return new RunOptions(changed, windowBytes, strict, output, cancelled);
    }

    public RunOptions withWindowBytes(int changed) {
        return new RunOptions(threads, changed, strict, output, cancelled);
    }

    public RunOptions withStrict(boolean changed) {
        return new RunOptions(threads, windowBytes, changed, output, cancelled);
    }

    public RunOptions withOutput(OutputFolder.Rules changed) {
        return new RunOptions(threads, windowBytes, strict, changed, cancelled);
    }

    public RunOptions withCancelled(BooleanSupplier changed) {
        return new RunOptions(threads, windowBytes, strict, output, changed);
    }
}
