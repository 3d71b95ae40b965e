package io.ucp.layout;

import java.util.ArrayList;
import java.util.List;

/// How data parallelism cuts tensors that lie flat: the members of an optimizer group, in order.
///
/// A whole group (ZeRO-1, 2): members end to end, padded to a multiple of twice the degree, cut in
/// equal parts. Each (ZeRO-3, FSDP1): every member padded on its own and cut in parts of `ceil(n /
/// degree)`; a rank holds its part of each, end to end. Sources: DeepSpeed
/// `runtime/zero/stage_1_and_2.py`, `stage3.py`.
///
/// @param sizes of the members, in elements
/// @param degree parts
/// @param each every member on its own
public record FlatCut(List<Long> sizes, int degree, boolean each) {
    public FlatCut {
        sizes = List.copyOf(sizes);
        if (degree < 1) {
            throw new IllegalArgumentException("cut in " + degree + " parts");
        }
    }

    /// A stretch of a member in a part. All in elements.
    ///
    /// @param member its number
    /// @param from first element of the member that the part holds
    /// @param to one past the last
    /// @param at where it lies in the part
    public record Range(int member, long from, long to, long at) {}

    /// Elements of every part, padding included.
    public long partExtent() {
        if (each) {
            return sizes.stream().mapToLong(this::share).sum();
        }
        long align = 2L * degree;
        return Math.multiplyExact(Math.ceilDiv(total(), align), align) / degree;
    }

    /// Elements of padding in all parts together.
    public long padding() {
        return partExtent() * degree - total();
    }

    /// What the part at `index` holds, in order; members that it holds nothing of are left out.
    public List<Range> part(int index) {
        return each ? eachPart(index) : groupPart(index);
    }

    private List<Range> groupPart(int index) {
        long begin = index * partExtent();
        long end = begin + partExtent();
        List<Range> ranges = new ArrayList<>();
        long at = 0;
        for (int m = 0; m < sizes.size(); m++) {
            long from = Math.max(at, begin);
            long to = Math.min(at + sizes.get(m), end);
            if (from < to) {
                ranges.add(new Range(m, from - at, to - at, from - begin));
            }
            at += sizes.get(m);
        }
        return ranges;
    }

    private List<Range> eachPart(int index) {
        List<Range> ranges = new ArrayList<>();
        long at = 0;
        for (int m = 0; m < sizes.size(); m++) {
            long share = share(sizes.get(m));
            long from = Math.min(index * share, sizes.get(m));
            long to = Math.min(from + share, sizes.get(m));
            if (from < to) {
                ranges.add(new Range(m, from, to, at));
            }
            at += share;
        }
        return ranges;
    }

    private long share(long size) {
        return Math.ceilDiv(size, (long) degree);
    }

    private long total() {
        return sizes.stream().mapToLong(Long::longValue).reduce(0, Math::addExact);
    }
}
