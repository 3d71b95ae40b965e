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
    private static final int AVERAGED_AT_ONCE = 8192;

    private final OpenSources sources;
    private final Gatherer gatherer;
    private final Differences differences;

    /// The value before it is cast.
    private final ByteBuffer uncast;

    /// Another copy.
    private final ByteBuffer replica;

    private final double[] sums = new double[AVERAGED_AT_ONCE];

    WindowFiller(OpenSources sources, Differences differences, Buffers buffers) {
        this.sources = sources;
        this.differences = differences;
        this.uncast = buffers.uncast();
        this.replica = buffers.replica();
        this.gatherer = new Gatherer(sources, buffers.staging());
    }

    /// Bytes `[from, to)` of the target to the start of `window`, which is left flipped.
    void fill(List<Step> steps, long from, long to, ByteBuffer window) throws IOException {
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

    private void fill(Step step, long low, long high, ByteBuffer window, int at)
            throws IOException {
        int size = (int) (high - low);
        switch (step) {
            case Step.Literal(long offset, byte[] bytes) ->
                    window.put(at, bytes, (int) (low - offset), size);
            case Step.Fill _ -> MemorySegment.ofBuffer(window.slice(at, size)).fill((byte) 0);
            case Step.Bytes(long offset, var source, long sourceOffset, long _) -> {
                window.limit(at + size).position(at);
                sources.read(source, sourceOffset + low - offset, window);
                window.clear();
            }
            case Step.Elements elements -> {
                int width = elements.to().width();
                long first = (low - elements.offset()) / width;
                long last = (high - elements.offset()) / width;
                if (elements.rule() == Step.Rule.AVERAGE && elements.copies().size() > 1) {
                    average(elements, first, last, window, at);
                } else {
                    elements(elements, first, last, window, at);
                }
            }
        }
    }

    /// In blocks that fit the scratch buffers, where those are needed.
    private void elements(Step.Elements step, long low, long high, ByteBuffer window, int at)
            throws IOException {
        DType from = step.from();
        DType to = step.to();
        boolean direct = from == to;
        long block =
                direct && step.copies().size() == 1
                        ? high - low
                        : replica.capacity() / from.width();
        for (long first = low; first < high; first += block) {
            long last = Math.min(high, first + block);
            int index = at + (int) ((first - low) * to.width());
            ByteBuffer value = direct ? window : uncast;
            int valueAt = direct ? index : 0;
            gatherer.gather(step.copies().getFirst(), from.width(), first, last, value, valueAt);
            for (int copy = 1; copy < step.copies().size(); copy++) {
                gatherer.gather(step.copies().get(copy), from.width(), first, last, replica, 0);
                differences.compare(
                        step,
                        step.rule(),
                        step.label(),
                        copy,
                        from,
                        first,
                        last,
                        value,
                        valueAt,
                        replica);
            }
            if (!direct) {
                for (int k = 0; k < last - first; k++) {
                    double number = Floats.get(from, uncast, k * from.width());
                    Floats.put(to, window, index + k * to.width(), number);
                }
            }
        }
    }

    private void average(Step.Elements step, long low, long high, ByteBuffer window, int at)
            throws IOException {
        DType from = step.from();
        DType to = step.to();
        int block = Math.min(AVERAGED_AT_ONCE, replica.capacity() / from.width());
        for (long first = low; first < high; first += block) {
            int count = (int) Math.min(block, high - first);
            Arrays.fill(sums, 0, count, 0.0);
            for (Step.Copy copy : step.copies()) {
                gatherer.gather(copy, from.width(), first, first + count, replica, 0);
                for (int k = 0; k < count; k++) {
                    sums[k] += Floats.get(from, replica, k * from.width());
                }
            }
            int index = at + (int) ((first - low) * to.width());
            for (int k = 0; k < count; k++) {
                Floats.put(to, window, index + k * to.width(), sums[k] / step.copies().size());
            }
        }
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
                    Step.Rule.EQUAL,
                    against.label(),
                    1,
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
