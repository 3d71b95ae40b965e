package io.ucp.layout;

import java.util.ArrayList;
import java.util.List;

/// Consecutive indices `[start, start + extent)` along one dimension.
public record Stretch(long start, long extent) {
    public Stretch {
        if (start < 0 || extent < 0) {
            throw new IllegalArgumentException("stretch [%d, +%d)".formatted(start, extent));
        }
    }

    long end() {
        return start + extent;
    }

    /// Extents that a spec gives, in all; 2^63 - 1 where they are more.
    static long sum(List<Long> extents) {
        try {
            return extents.stream().reduce(0L, Math::addExact);
        } catch (ArithmeticException _) {
            return Long.MAX_VALUE;
        }
    }

    static long total(List<Stretch> stretches) {
        return stretches.stream().mapToLong(Stretch::extent).sum();
    }

    /// What lies at positions `[from, from + extent)` of stretches laid end to end; neighbours that
    /// continue each other become one, empty ones go.
    static List<Stretch> select(List<Stretch> laid, List<Stretch> positions) {
        List<Stretch> out = new ArrayList<>();
        for (Stretch wanted : positions) {
            long at = 0;
            for (Stretch s : laid) {
                long from = Math.max(at, wanted.start);
                long to = Math.min(at + s.extent, wanted.end());
                if (from < to) {
                    append(out, new Stretch(s.start + from - at, to - from));
                }
                at += s.extent;
            }
        }
        return out;
    }

    private static void append(List<Stretch> out, Stretch next) {
        if (!out.isEmpty() && out.getLast().end() == next.start) {
            Stretch last = out.removeLast();
            out.add(new Stretch(last.start, last.extent + next.extent));
        } else {
            out.add(next);
        }
    }
}
