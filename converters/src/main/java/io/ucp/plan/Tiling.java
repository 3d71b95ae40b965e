package io.ucp.plan;

import io.ucp.tensor.Piece;
import io.ucp.tensor.Transfer;

import java.util.ArrayList;
import java.util.List;

/// The proof that strided boxes tile a range, whatever way they interleave.
///
/// Give position `p` the monomial `x^p`. A strided box is then a product of geometric sums, and
/// boxes cover `[0, n)` exactly once each if and only if their sum is the polynomial `1 + x + .. +
/// x^(n - 1)`. Both sides are evaluated at three fixed points modulo the prime `2^61 - 1`:
/// different polynomials of degree under n agree at all three for at most a share of `(n / 2^61)^3`
/// of such points, less than 2^-60 for a tensor of 2^40 elements. This costs O(rank log n) a box.
/// Only a plan that fails is searched for the position.
final class Tiling {
    private static final long PRIME = (1L << 61) - 1;

    /// Drawn once at random.
    private static final long[] POINTS = {
        0x1b873593a4093822L, 0x05f0c3d5299f31d0L, 0x12fa98ec4e6c89a1L
    };

    private Tiling() {}

    static void prove(String target, long size, List<Step> steps) {
        long at = 0;
        for (Step step : steps) {
            if (step.offset() != at) {
                throw new BrokenPlanException(
                        target,
                        Math.min(at, step.offset()),
                        step.offset() > at ? "is written by no step" : "is written twice");
            }
            if (step instanceof Step.Elements elements) {
                proveElements(target, elements);
            }
            at = step.end();
        }
        if (at != size) {
            throw new BrokenPlanException(
                    target,
                    Math.min(at, size),
                    at < size ? "is written by no step" : "lies past the end");
        }
    }

    /// Windows may be empty (an empty tensor's is).
    static void proveCuts(String target, long size, List<Long> cuts, List<Step> steps) {
        long at = 0;
        int k = 0;
        for (long cut : cuts) {
            if (cut < at || cut > size) {
                throw new BrokenPlanException(target, at, "starts a window that ends at " + cut);
            }
            while (k < steps.size() && steps.get(k).end() < cut) {
                k++;
            }
            if (k < steps.size()
                    && steps.get(k) instanceof Step.Elements e
                    && (cut - e.offset()) % e.of().dtype().width() != 0) {
                throw new BrokenPlanException(target, cut, "cuts an element in two windows");
            }
            at = cut;
        }
        if (at != size) {
            throw new BrokenPlanException(target, at, "is in no window");
        }
    }

    private static void proveElements(String target, Step.Elements step) {
        int copy = 0;
        for (Step.Copy c : step.copies()) {
            proveCopy(target, step, copy++, c);
        }
        if (step.kept().isPresent()) {
            proveCopy(target, step, copy, step.kept().get().copy());
        }
    }

    private static void proveCopy(String target, Step.Elements step, int number, Step.Copy copy) {
        List<Transfer> moves = new ArrayList<>(copy.origins().items().size());
        copy.origins().items().forEach(origin -> moves.add(origin.moves()));
        long count = step.of().count();
        for (Transfer t : moves) {
            if (!t.isNested() || t.to() < 0 || t.toEnd() > count) {
                throw broken(target, step, number, t.to(), "is out of order");
            }
        }
        if (!exact(moves, count)) {
            long fault = firstFault(moves, count);
            throw broken(target, step, number, fault, "is not written exactly once");
        }
    }

    private static BrokenPlanException broken(
            String target, Step.Elements step, int copy, long position, String what) {
        return new BrokenPlanException(
                target,
                step.offset() + position * step.of().dtype().width(),
                "of copy %d of %s/%s %s"
                        .formatted(copy, step.of().parameter(), step.of().state(), what));
    }

    /// Whether the target positions of the moves are `[0, count)`, each once.
    static boolean exact(List<Transfer> moves, long count) {
        if (isEndToEnd(moves, count)) {
            return true;
        }
        for (long x : POINTS) {
            long sum = 0;
            for (Transfer t : moves) {
                long term = power(x, t.to());
                for (int d = 0; d < t.rank(); d++) {
                    term = multiply(term, geometric(power(x, t.toStride(d)), t.extent(d)));
                }
                sum = add(sum, term);
            }
            if (sum != geometric(x, count)) {
                return false;
            }
        }
        return true;
    }

    /// Whether they are runs that each begin where the one before ends, which needs no arithmetic.
    private static boolean isEndToEnd(List<Transfer> moves, long count) {
        long at = 0;
        for (Transfer t : moves) {
            boolean run = t.rank() == 0 || (t.rank() == 1 && t.toStride(0) == 1);
            if (!run || t.to() != at) {
                return false;
            }
            at += t.count();
        }
        return at == count;
    }

    /// The first position that is not covered once: the prefix up to it tiles, the next does not.
    private static long firstFault(List<Transfer> moves, long count) {
        long tiled = 0;
        long faulty = count;
        while (faulty - tiled > 1) {
            long middle = (tiled + faulty) >>> 1;
            List<Transfer> prefix = new ArrayList<>();
            for (Transfer t : moves) {
                prefix.addAll(before(t, middle));
            }
            if (exact(prefix, middle)) {
                tiled = middle;
            } else {
                faulty = middle;
            }
        }
        return tiled;
    }

    private static List<Transfer> before(Transfer t, long end) {
        long[] extent = new long[t.rank()];
        long[] stride = new long[t.rank()];
        for (int d = 0; d < extent.length; d++) {
            extent[d] = t.extent(d);
            stride[d] = t.toStride(d);
        }
        return Piece.of(extent, new long[extent.length], extent, t.to(), stride)
                .cut(0, end)
                .stream()
                .map(
                        p ->
                                Transfer.of(
                                        p.extent(),
                                        0,
                                        p.localStride(),
                                        p.localOffset(),
                                        p.localStride()))
                .toList();
    }

    /// `1 + x + .. + x^(n - 1)`, by halves: an even sum is `(1 + x^k)` times that of `k = n / 2`.
    private static long geometric(long x, long n) {
        long sum = 0;
        long power = 1; // x^(terms in sum)
        for (int bit = Long.SIZE - Long.numberOfLeadingZeros(n) - 1; bit >= 0; bit--) {
            sum = multiply(sum, add(1, power));
            power = multiply(power, power);
            if ((n >>> bit & 1) != 0) {
                sum = add(multiply(sum, x), 1);
                power = multiply(power, x);
            }
        }
        return sum;
    }

    private static long power(long x, long n) {
        long power = 1;
        long square = x;
        for (long rest = n; rest != 0; rest >>>= 1) {
            if ((rest & 1) != 0) {
                power = multiply(power, square);
            }
            square = multiply(square, square);
        }
        return power;
    }

    private static long add(long a, long b) {
        long sum = a + b;
        return sum >= PRIME ? sum - PRIME : sum;
    }

    private static long multiply(long a, long b) {
        long high = Math.multiplyHigh(a, b);
        long low = a * b;
        return add(low & PRIME, (high << 3 | low >>> 61) & PRIME);
    }
}
