package io.ucp.convert;

import io.ucp.checkpoint.Inventory;
import io.ucp.execute.Options;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;
import io.ucp.plan.Planner;

import java.io.IOException;
import java.util.Map;

/// Digests of a checkpoint's states, independent of how it is laid out.
public final class Digests {
    private Digests() {}

    /// Reads every state once.
    ///
    /// @return parameter -> state -> digest of its real elements
    public static Map<String, Map<String, String>> of(
            Inventory inventory, RunOptions options, Progress progress) throws IOException {
        return PlanExecutor.read(
                        Planner.digests(inventory),
                        Options.standard()
                                .withThreads(options.threads())
                                .withBufferBytes(options.windowBytes())
                                .withCancelled(options.cancelled()),
                        progress)
                .digests();
    }
}
