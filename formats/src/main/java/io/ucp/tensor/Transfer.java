package io.ucp.tensor;

import java.util.Arrays;
import java.util.function.LongConsumer;

/// A strided move of elements between two local orders: element `i` goes from position `from + Σ
/// i[d] * fromStride[d]` to `to + Σ i[d] * toStride[d]`.
///
/// Canonical: no dims of extent 1, dims sorted so that `toStride` falls (walking the index in order
/// visits the target in order), and dims that continue each other on both sides merged; so a
/// contiguous move has one dim with both strides 1, and a single element has none.
public final class Transfer {
    /// The strides of a contiguous move, which most are: a plan holds millions.
    private static final long[] ONE = {1};

    private final long[] extent;
    private final long from;
    private final long[] fromStride;
    private final long to;
    private final long[] toStride;

    private Transfer(long[] extent, long from, long[] fromStride, long to, long[] toStride) {
        this.extent = extent;
        this.from = from;
        this.fromStride = fromStride;
        this.to = to;
        this.toStride = toStride;
    }

    public static Transfer of(
            long[] extent, long from, long[] fromStride, long to, long[] toStride) {
        int rank = extent.length;
        int[] order = new int[rank];
        int kept = 0;
        for (int d = 0; d < rank; d++) {
            if (extent[d] != 1) {
                int at = kept++;
                while (at > 0 && toStride[order[at - 1]] < toStride[d]) {
                    order[at] = order[at - 1];
                    at--;
                }
                order[at] = d;
            }
        }
        long[] e = new long[kept];
        long[] f = new long[kept];
        long[] t = new long[kept];
        int n = 0;
        for (int k = 0; k < kept; k++) {
            int d = order[k];
            if (n > 0
                    && f[n - 1] == extent[d] * fromStride[d]
                    && t[n - 1] == extent[d] * toStride[d]) {
                e[n - 1] *= extent[d];
                f[n - 1] = fromStride[d];
                t[n - 1] = toStride[d];
            } else {
                e[n] = extent[d];
                f[n] = fromStride[d];
                t[n] = toStride[d];
                n++;
            }
        }
        boolean contiguous = n == 1 && f[0] == 1 && t[0] == 1;
        return new Transfer(
                Arrays.copyOf(e, n),
                from,
                contiguous ? ONE : Arrays.copyOf(f, n),
                to,
                contiguous ? ONE : Arrays.copyOf(t, n));
    }

    /// The same elements, moved the other way.
    public Transfer reversed() {
        return of(extent, to, toStride, from, fromStride);
    }

    public Transfer shifted(long fromBy, long toBy) {
        return new Transfer(extent, from + fromBy, fromStride, to + toBy, toStride);
    }

    /// Everything that makes it what it is, number by number.
    public void forEachNumber(LongConsumer numbers) {
        numbers.accept(extent.length);
        numbers.accept(from);
        numbers.accept(to);
        for (int d = 0; d < extent.length; d++) {
            numbers.accept(extent[d]);
            numbers.accept(fromStride[d]);
            numbers.accept(toStride[d]);
        }
    }

    /// Elements.
    public long count() {
        long n = 1;
        for (long e : extent) {
            n *= e;
        }
        return n;
    }

    public int rank() {
        return extent.length;
    }

    public long extent(int d) {
        return extent[d];
    }

    public long from() {
        return from;
    }

    public long fromStride(int d) {
        return fromStride[d];
    }

    public long to() {
        return to;
    }

    public long toStride(int d) {
        return toStride[d];
    }

    /// Elements that are neighbours on both sides: the length of every run.
    public long runExtent() {
        int last = extent.length - 1;
        return last >= 0 && fromStride[last] == 1 && toStride[last] == 1 ? extent[last] : 1;
    }

    /// One past the last target position.
    public long toEnd() {
        long end = to;
        for (int d = 0; d < extent.length; d++) {
            end += (extent[d] - 1) * toStride[d];
        }
        return end + 1;
    }

    /// Whether walking the index in order visits target positions in rising order, each once.
    public boolean isNested() {
        long span = 1;
        for (int d = extent.length - 1; d >= 0; d--) {
            if (toStride[d] < span) {
                return false;
            }
            span += (extent[d] - 1) * toStride[d];
        }
        return true;
    }

    /// Whether walking the index in order visits source positions in rising order, too: nothing is
    /// transposed, and stretches of the target come from stretches of the source.
    public boolean keepsOrder() {
        for (int d = 1; d < extent.length; d++) {
            if (fromStride[d] > fromStride[d - 1]) {
                return false;
            }
        }
        return true;
    }

    /// Some elements in a line, a stride apart on each side.
    @FunctionalInterface
    public interface Line<X extends Exception> {
        void move(long from, long fromStride, long to, long toStride, long count) throws X;
    }

    /// The moves to target positions `[low, high)`, in target order. Needs [#isNested].
    public <X extends Exception> void lines(long low, long high, Line<X> line) throws X {
        long[] span = new long[extent.length + 1];
        span[extent.length] = 1;
        for (int d = extent.length - 1; d >= 0; d--) {
            span[d] = span[d + 1] + (extent[d] - 1) * toStride[d];
        }
        lines(0, from, to, span, low, high, line);
    }

    private <X extends Exception> void lines(
            int d, long f, long t, long[] span, long low, long high, Line<X> line) throws X {
        if (d == extent.length) {
            if (t >= low && t < high) {
                line.move(f, 1, t, 1, 1);
            }
            return;
        }
        long stride = toStride[d];
        long first = Math.clamp(Math.floorDiv(low - t - span[d + 1], stride) + 1, 0, extent[d]);
        long last = Math.clamp(Math.ceilDiv(high - t, stride), first, extent[d]);
        if (d == extent.length - 1) {
            if (last > first) {
                line.move(
                        f + first * fromStride[d],
                        fromStride[d],
                        t + first * stride,
                        stride,
                        last - first);
            }
            return;
        }
        for (long k = first; k < last; k++) {
            lines(d + 1, f + k * fromStride[d], t + k * stride, span, low, high, line);
        }
    }

    @Override
    public String toString() {
        return "%s: %d*%s -> %d*%s"
                .formatted(
                        Arrays.toString(extent),
                        from,
                        Arrays.toString(fromStride),
                        to,
                        Arrays.toString(toStride));
    }

    @Override
    public boolean equals(Object o) {
        return o instanceof Transfer t
                && from == t.from
                && to == t.to
                && Arrays.equals(extent, t.extent)
                && Arrays.equals(fromStride, t.fromStride)
                && Arrays.equals(toStride, t.toStride);
    }

    @Override
    public int hashCode() {
        return Long.hashCode(from) * 31 + Long.hashCode(to) + Arrays.hashCode(extent);
    }
}
