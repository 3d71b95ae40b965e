package io.ucp.execute;

import io.ucp.plan.Step;
import io.ucp.plan.TargetPlan;

import java.util.List;

/// The windows that tile a target. Each ends between elements, so that an element is never cast,
/// compared or counted by halves.
final class Windows {
    /// Bytes of the widest element type: a window holds one element at least.
    static final int LEAST = 16;

    private final TargetPlan target;
    private final int bytes;
    private final List<Long> cuts;

    /// @param bytes of a window, about
    Windows(TargetPlan target, int bytes, boolean encoding) {
        this.target = target;
        this.bytes = Math.max(bytes, LEAST);
        this.cuts = encoding ? target.assembler().orElseThrow().cuts() : List.of();
    }

    /// The largest window of a target, in bytes.
    static int largest(TargetPlan target, int bytes, boolean encoding) {
        long largest = (long) Math.max(bytes, LEAST) + LEAST;
        if (encoding && target.assembler().isPresent()) {
            long at = 0;
            for (long cut : target.assembler().get().cuts()) {
                largest = Math.max(largest, cut - at);
                at = cut;
            }
        }
        return Math.toIntExact(largest);
    }

    /// At least one: that of an empty target is empty.
    long count() {
        return cuts.isEmpty() ? Math.max(1, Math.ceilDiv(target.size(), bytes)) : cuts.size();
    }

    long start(long window) {
        return window == 0 ? 0 : end(window - 1);
    }

    long end(long window) {
        if (!cuts.isEmpty()) {
            return cuts.get(Math.toIntExact(window));
        }
        long nominal = (window + 1) * bytes;
        if (nominal >= target.size()) {
            return target.size();
        }
        if (target.steps().get(stepAt(target.steps(), nominal)) instanceof Step.Elements e) {
            return nominal - (nominal - e.offset()) % e.to().width();
        }
        return nominal;
    }

    /// Index of the step that writes the byte at `offset`.
    static int stepAt(List<Step> steps, long offset) {
        int low = 0;
        int high = steps.size();
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (steps.get(middle).end() > offset) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }
}
