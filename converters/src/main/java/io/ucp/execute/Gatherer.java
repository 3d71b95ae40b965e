package io.ucp.execute;

import io.ucp.plan.Step;
import io.ucp.tensor.Transfer;

import java.io.IOException;
import java.nio.ByteBuffer;

/// Brings the elements of one copy into a buffer, in target order. Owned by one worker.
final class Gatherer {
    /// What a read call costs beside its bytes, in bytes read instead (measured: about 0.5 µs).
    private static final long CALL = 4096;

    private final OpenSources sources;

    /// Source bytes from which scattered elements are picked.
    private final ByteBuffer staging;

    private final WindowSums sums;

    /// @param sums of the window that is being filled
    Gatherer(OpenSources sources, ByteBuffer staging, WindowSums sums) {
        this.sources = sources;
        this.staging = staging;
        this.sums = sums;
    }

    /// Elements `[low, high)` of a step, as `copy` holds them, to `into` from byte `at`.
    void gather(Step.Copy copy, int width, long low, long high, ByteBuffer into, int at)
            throws IOException {
        for (Step.Origin origin : copy.origins().over(low, high)) {
            Transfer moves = origin.moves();
            pick(
                    origin,
                    width,
                    Math.max(low, moves.to()),
                    Math.min(high, moves.toEnd()),
                    into,
                    at - low * width);
        }
    }

    /// @param zero index in `into` of target position 0
    private void pick(
            Step.Origin origin, int width, long low, long high, ByteBuffer into, long zero)
            throws IOException {
        Hull hull = new Hull();
        origin.moves().lines(low, high, hull);
        if (hull.runs == 0) {
            return;
        }
        long span = (hull.last - hull.first + 1) * width;
        if (hull.runs == 1 || hull.elements * width + hull.runs * CALL < span) {
            origin.moves()
                    .lines(
                            low,
                            high,
                            (f, fs, t, ts, n) ->
                                    readLine(origin, width, f, fs, t, ts, n, into, zero));
        } else if (span <= staging.capacity()) {
            staging.clear().limit((int) span);
            sources.read(origin.source(), origin.base() + hull.first * width, staging, sums);
            origin.moves()
                    .lines(
                            low,
                            high,
                            (f, fs, t, ts, n) ->
                                    copy(
                                            width,
                                            (int) ((f - hull.first) * width),
                                            (int) (fs * width),
                                            into,
                                            (int) (zero + t * width),
                                            (int) (ts * width),
                                            (int) n));
        } else {
            long middle = (low + high) >>> 1;
            pick(origin, width, low, middle, into, zero);
            pick(origin, width, middle, high, into, zero);
        }
    }

    /// The source positions that some moves touch, and in how many runs.
    private static final class Hull implements Transfer.Line<RuntimeException> {
        long first = Long.MAX_VALUE;
        long last = -1;
        long elements;
        long runs;

        @Override
        public void move(long from, long fromStride, long to, long toStride, long count) {
            first = Math.min(first, from);
            last = Math.max(last, from + (count - 1) * fromStride);
            elements += count;
            runs += fromStride == 1 && toStride == 1 ? 1 : count;
        }
    }

    private void readLine(
            Step.Origin origin,
            int width,
            long from,
            long fromStride,
            long to,
            long toStride,
            long count,
            ByteBuffer into,
            long zero)
            throws IOException {
        boolean run = fromStride == 1 && toStride == 1;
        int size = run ? (int) (count * width) : width;
        for (long k = 0; k < (run ? 1 : count); k++) {
            int index = (int) (zero + (to + k * toStride) * width);
            long offset = origin.base() + (from + k * fromStride) * width;
            into.limit(index + size).position(index);
            sources.read(origin.source(), offset, into, sums);
            into.clear();
        }
    }

    private void copy(
            int width, int from, int fromStride, ByteBuffer into, int to, int toStride, int count) {
        if (fromStride == width && toStride == width) {
            into.put(to, staging, from, count * width);
            return;
        }
        for (int k = 0; k < count; k++) {
            int f = from + k * fromStride;
            int t = to + k * toStride;
            switch (width) {
                case 1 -> into.put(t, staging.get(f));
                case 2 -> into.putShort(t, staging.getShort(f));
                case 4 -> into.putInt(t, staging.getInt(f));
                case 8 -> into.putLong(t, staging.getLong(f));
                default -> into.put(t, staging, f, width);
            }
        }
    }
}
