package io.ucp.io;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;

/// Work on many files by all processors: a large checkpoint has tens of thousands, and each costs a
/// round trip and a pickle. Each processor takes the next that is left, since those that cost most
/// lie side by side in the order of their names (a parallel stream would give them all to one).
public final class Parallel {
    private Parallel() {}

    /// What is done with each.
    @FunctionalInterface
    public interface Task<A, B, X extends Exception> {
        B of(A value) throws X;
    }

    /// What they come to, in their order.
    ///
    /// @throws X of the first of them that fails, in their order, whichever was tried first
    public static <A, B, X extends Exception> List<B> map(List<A> values, Task<A, B, X> task)
            throws X {
        Map<Integer, B> done = new ConcurrentHashMap<>();
        ConcurrentSkipListMap<Integer, Exception> failed = new ConcurrentSkipListMap<>();
        AtomicInteger next = new AtomicInteger();
        int workers = Math.min(values.size(), Runtime.getRuntime().availableProcessors());
        IntStream.range(0, workers)
                .parallel()
                .forEach(
                        _ -> {
                            int k = next.getAndIncrement();
                            while (k < values.size() && failed.headMap(k).isEmpty()) {
                                try {
                                    done.put(k, task.of(values.get(k)));
                                } catch (Exception e) { // one that the caller gets
                                    failed.put(k, e);
                                }
                                k = next.getAndIncrement();
                            }
                        });
        if (!failed.isEmpty()) {
            @SuppressWarnings("unchecked") // what a task throws is X or unchecked
            X first = (X) failed.firstEntry().getValue();
            throw first;
        }
        List<B> all = new ArrayList<>(values.size());
        for (int k = 0; k < values.size(); k++) {
            all.add(Objects.requireNonNull(done.get(k)));
        }
        return all;
    }
}
