package io.ucp.convert;

import java.util.function.BooleanSupplier;

/// How a conversion is run.
///
/// @param threads workers
/// @param sync flush every file to the disk before the output gets its name
/// @param strict refuse where the target loses something or copies differ (`take first`)
/// @param cancelled asked often; true stops, and nothing is left behind
public record RunOptions(int threads, boolean sync, boolean strict, BooleanSupplier cancelled) {
    public static RunOptions standard() {
        return new RunOptions(Runtime.getRuntime().availableProcessors(), true, false, () -> false);
    }
}
