package io.ucp.plan;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToLongFunction;

/// Things that each span a range `[start, end)` of one line, found by where they lie. Ranges may
/// overlap. Finding costs O(log n + found) as long as the ranges that overlap are about as long as
/// each other, as shards are.
public final class Spans<T> {
    private final List<T> items;
    private final long[] start;
    private final long[] end;

    /// The furthest end so far: what starts before but reaches past a place begins no earlier than
    /// the first item of which this is true.
    private final long[] reach;

    private Spans(List<T> items, long[] start, long[] end, long[] reach) {
        this.items = items;
        this.start = start;
        this.end = end;
        this.reach = reach;
    }

    public static <T> Spans<T> of(
            Collection<? extends T> unordered,
            ToLongFunction<? super T> start,
            ToLongFunction<? super T> end) {
        List<T> items = new ArrayList<>(unordered);
        items.sort(Comparator.comparingLong(start));
        long[] starts = new long[items.size()];
        long[] ends = new long[items.size()];
        boolean rising = true;
        for (int k = 0; k < ends.length; k++) {
            starts[k] = start.applyAsLong(items.get(k));
            ends[k] = end.applyAsLong(items.get(k));
            rising &= k == 0 || ends[k - 1] <= ends[k];
        }
        return new Spans<>(List.copyOf(items), starts, ends, rising ? ends : reach(ends));
    }

    private static long[] reach(long[] ends) {
        long[] reach = ends.clone();
        for (int k = 1; k < reach.length; k++) {
            reach[k] = Math.max(reach[k - 1], reach[k]);
        }
        return reach;
    }

    /// All of them, by start.
    public List<T> items() {
        return items;
    }

    /// Those that overlap `[from, to)`, by start.
    public List<T> over(long from, long to) {
        int low = 0;
        int high = reach.length;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (reach[middle] > from) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        List<T> found = new ArrayList<>();
        for (int k = low; k < start.length && start[k] < to; k++) {
            if (end[k] > from) {
                found.add(items.get(k));
            }
        }
        return found;
    }

    @Override
    public String toString() {
        return items.toString();
    }
}
