package io.ucp.convert;

import io.ucp.execute.Options;
import io.ucp.execute.PlanExecutor;
import io.ucp.plan.Step;

import java.util.OptionalLong;

/// The memory that a conversion takes, known before it reads a byte of a tensor.
///
/// @param plan bytes of the JVM itself and of the plan in its heap, estimated
/// @param buffers bytes of all workers' buffers, outside of the heap
/// @param threads workers
/// @param windowBytes what a worker reads, checks and writes at a time
public record MemoryNeed(long plan, long buffers, int threads, int windowBytes) {
    /// Code, metadata and a heap that holds a small plan.
    private static final long JVM_BYTES = 200L << 20;

    /// Of a run of elements in the plan, measured: about this many bytes.
    private static final long ORIGIN_BYTES = 500;

    static final int LEAST_WINDOW = 64 << 10;

    public long total() {
        return plan + buffers;
    }

    public static MemoryNeed of(Prepared prepared, int threads) {
        return of(prepared, threads, RunOptions.WINDOW_BYTES);
    }

    private static MemoryNeed of(Prepared prepared, int threads, int windowBytes) {
        long[] origins = new long[1];
        prepared.plan().targets().stream()
                .flatMap(t -> t.steps().stream())
                .forEach(
                        step -> {
                            origins[0]++;
                            if (step instanceof Step.Elements elements) {
                                elements.copies()
                                        .forEach(c -> origins[0] += c.origins().items().size());
                            }
                        });
        long buffers =
                PlanExecutor.bufferBytes(
                        prepared.plan(),
                        Options.standard().withThreads(threads).withBufferBytes(windowBytes));
        return new MemoryNeed(JVM_BYTES + origins[0] * ORIGIN_BYTES, buffers, threads, windowBytes);
    }

    /// The need of as many workers with as large windows as there is room for: smaller windows,
    /// down to a quarter, go before fewer workers, and these before smaller ones still.
    ///
    /// @param limit bytes, absent for none but what the system has
    /// @throws NotEnoughMemoryException where not even one worker with the smallest windows fits
    public static MemoryNeed within(
            Prepared prepared, int threads, OptionalLong limit, OptionalLong available)
            throws NotEnoughMemoryException {
        long most = Math.min(limit.orElse(Long.MAX_VALUE), available.orElse(Long.MAX_VALUE));
        MemoryNeed least = of(prepared, threads);
        for (int window = RunOptions.WINDOW_BYTES; window >= LEAST_WINDOW; window /= 2) {
            least = of(prepared, 1, window);
            long each = least.buffers();
            long fitting = each == 0 ? threads : (most - least.plan()) / each;
            boolean enough =
                    window > RunOptions.WINDOW_BYTES / 4 ? fitting >= threads : fitting >= 1;
            if (enough) {
                return of(prepared, (int) Math.min(threads, fitting), window);
            }
        }
        throw new NotEnoughMemoryException(
                least.total(), most, limit.isPresent() && limit.getAsLong() == most);
    }
}
