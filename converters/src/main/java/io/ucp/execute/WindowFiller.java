package io.ucp.execute;

import io.ucp.plan.Step;
import io.ucp.plan.TargetPlan;
import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;

/// Fills windows of a target by its steps. Owned by one worker.
final class WindowFiller {
    private static final int AVERAGED_AT_ONCE = 1 << 15;

    /// Bytes that are read and summed together: few enough that they stay in a core's cache, where
    /// a CRC of them costs a quarter of what it does in memory.
    private static final int SUMMED_AT_ONCE = 1 << 18;

    private final OpenSources sources;
    private final WindowSums windowSums;
    private final Gatherer gatherer;
    private final Differences differences;

    /// The value before it is cast.
    private final ByteBuffer uncast;

    /// Another copy.
    private final ByteBuffer replica;

    /// A copy that others are compared with.
    private final ByteBuffer leader;

    private final boolean checksWeights;

    private boolean differed;

    /// Of an average, then the means.
    private final double[] sums = new double[AVERAGED_AT_ONCE];

    /// @param windowSums told of what is summed as it is read
    /// @param checksWeights whether weights are held against those that the source has
    WindowFiller(
            OpenSources sources,
            Differences differences,
            Buffers buffers,
            WindowSums windowSums,
            boolean checksWeights) {
        this.checksWeights = checksWeights;
        this.sources = sources;
        this.windowSums = windowSums;
        this.differences = differences;
        this.uncast = buffers.uncast();
        this.replica = buffers.replica();
        this.leader = buffers.leader();
        this.gatherer = new Gatherer(sources, buffers.staging(), windowSums);
    }

    /// Bytes `[from, to)` of the target to the start of `window`, which is left flipped.
    void fill(List<Step> steps, long from, long to, ByteBuffer window) throws IOException {
        differed = false;
        window.clear();
        for (int k = Windows.stepAt(steps, from); k < steps.size(); k++) {
            Step step = steps.get(k);
            if (step.offset() >= to) {
                break;
            }
            long low = Math.max(from, step.offset());
            long high = Math.min(to, step.end());
            if (high > low) {
                fill(step, low, high, window, (int) (low - from));
            }
        }
        window.clear().limit((int) (to - from));
    }

    /// Whether copies differed in what was filled last.
    boolean differed() {
        return differed;
    }

    private void fill(Step step, long low, long high, ByteBuffer window, int at)
            throws IOException {
        int size = (int) (high - low);
        switch (step) {
            case Step.Literal(long offset, byte[] bytes) ->
                    window.put(at, bytes, (int) (low - offset), size);
            case Step.Fill _ -> MemorySegment.ofBuffer(window.slice(at, size)).fill((byte) 0);
            case Step.Bytes(long offset, var source, long sourceOffset, long _) -> {
                window.limit(at + size).position(at);
                sources.read(source, sourceOffset + low - offset, window, windowSums);
                window.clear();
            }
            case Step.Elements elements -> {
                int width = elements.to().width();
                long first = (low - elements.offset()) / width;
                long last = (high - elements.offset()) / width;
                elements(elements, first, last, window, at);
            }
        }
    }

    /// In blocks that fit the scratch buffers, where those are needed, and the cache.
    private void elements(Step.Elements step, long low, long high, ByteBuffer window, int at)
            throws IOException {
        DType from = step.from();
        boolean direct = from == step.to();
        long block = block(step, low, high);
        for (long first = low; first < high; first += block) {
            long last = Math.min(high, first + block);
            int index = at + (int) ((first - low) * step.to().width());
            ByteBuffer value = direct ? window : uncast;
            int valueAt = direct ? index : 0;
            int others;
            if (step.averages()) {
                others = average(step, first, last, window, index);
                if (!direct && others < step.copies().size()) {
                    Floats.putAll(from, sums, uncast, 0, (int) (last - first));
                }
            } else {
                others = 1;
                gatherer.gather(
                        step.copies().getFirst(), from.width(), first, last, value, valueAt);
            }
            compare(step, others, first, last, value, valueAt);
            if (!direct && !step.averages()) {
                Floats.cast(from, uncast, 0, step.to(), window, index, (int) (last - first));
            }
            windowSums.take(window, index, index + (int) (last - first) * step.to().width());
            if (step.kept().isPresent() && checksWeights) {
                compare(step, step.kept().get(), first, last, window, index);
            }
        }
    }

    /// How many elements are filled at a time. What is transposed is gathered at once where it can
    /// be: each block would read all of it.
    private long block(Step.Elements step, long low, long high) {
        long scratch = replica.capacity() / step.from().width();
        if (step.averages()) {
            return Math.min(AVERAGED_AT_ONCE, scratch);
        }
        if (step.from() != step.to() || step.copies().size() > 1) {
            return scratch;
        }
        long summed = SUMMED_AT_ONCE / step.from().width();
        return high - low > summed && step.copies().getFirst().keepsOrder(low, high)
                ? summed
                : high - low;
    }

    /// Holds what the source kept against what was cast.
    private void compare(
            Step.Elements step, Step.Kept kept, long first, long last, ByteBuffer value, int at)
            throws IOException {
        gatherer.gather(kept.copy(), step.to().width(), first, last, replica, 0);
        differed |=
                differences.compare(
                        step,
                        new Differences.Pair(
                                kept.label(), Differences.Pair.MASTER, 0, kept.copy().rule()),
                        step.to(),
                        first,
                        last,
                        value,
                        at,
                        replica);
    }

    /// Holds copies `[others, ..)` against the value and against each other.
    private void compare(
            Step.Elements step, int others, long first, long last, ByteBuffer value, int valueAt)
            throws IOException {
        DType from = step.from();
        int leads = 0;
        for (int copy = others; copy < step.copies().size(); copy++) {
            Step.Copy held = step.copies().get(copy);
            boolean equal = held.rule() == Step.Rule.EQUAL;
            ByteBuffer read = equal ? replica : leader;
            gatherer.gather(held, from.width(), first, last, read, 0);
            boolean withValue = !equal || leads == 0;
            int with = withValue && step.averages() ? Differences.Pair.MEAN : withValue ? 0 : leads;
            differed |=
                    differences.compare(
                            step,
                            new Differences.Pair(step.label(), with, copy, held.rule()),
                            from,
                            first,
                            last,
                            withValue ? value : leader,
                            withValue ? valueAt : 0,
                            read);
            leads = equal ? leads : copy;
        }
    }

    /// The mean of the first copies to `window`, from byte `at`; their replicas are compared.
    ///
    /// @return the number of the copy behind them
    private int average(Step.Elements step, long first, long last, ByteBuffer window, int at)
            throws IOException {
        DType from = step.from();
        int count = (int) (last - first);
        Arrays.fill(sums, 0, count, 0.0);
        int summands = 0;
        int leads = 0;
        int copy = 0;
        for (; copy < step.copies().size(); copy++) {
            Step.Copy held = step.copies().get(copy);
            if (held.rule() == Step.Rule.FIRST) {
                break;
            }
            boolean equal = held.rule() == Step.Rule.EQUAL;
            ByteBuffer read = equal ? replica : leader;
            gatherer.gather(held, from.width(), first, last, read, 0);
            if (equal) {
                differed |=
                        differences.compare(
                                step,
                                new Differences.Pair(step.label(), leads, copy, held.rule()),
                                from,
                                first,
                                last,
                                leader,
                                0,
                                replica);
                continue;
            }
            leads = copy;
            summands++;
            Floats.add(from, leader, sums, count);
        }
        if (Integer.bitCount(summands) == 1) { // the same number, in a fraction of the time
            double share = 1.0 / summands;
            for (int k = 0; k < count; k++) {
                sums[k] *= share;
            }
        } else {
            for (int k = 0; k < count; k++) {
                sums[k] /= summands;
            }
        }
        Floats.putAll(step.to(), sums, window, at, count);
        return copy;
    }

    /// Fills `other` with what the second source holds of `[from, to)` and compares.
    void compare(
            TargetPlan target,
            TargetPlan.Against against,
            long from,
            long to,
            ByteBuffer window,
            ByteBuffer other)
            throws IOException {
        fill(against.steps(), from, to, other);
        for (int k = Windows.stepAt(target.steps(), from); k < target.steps().size(); k++) {
            if (!(target.steps().get(k) instanceof Step.Elements step) || step.offset() >= to) {
                break;
            }
            DType dtype = step.to();
            long low = Math.max(from, step.offset());
            long high = Math.min(to, step.end());
            differences.compare(
                    step,
                    new Differences.Pair(against.label(), 0, 1, Step.Rule.EQUAL),
                    dtype,
                    (low - step.offset()) / dtype.width(),
                    (high - step.offset()) / dtype.width(),
                    window,
                    (int) (low - from),
                    other.slice((int) (low - from), (int) (high - low))
                            .order(ByteOrder.LITTLE_ENDIAN));
        }
    }
}
