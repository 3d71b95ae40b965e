package io.ucp.execute;

/// What a worker owns while it runs.
record Worker(Buffers buffers, WindowFiller filler, WindowSums sums) {}
