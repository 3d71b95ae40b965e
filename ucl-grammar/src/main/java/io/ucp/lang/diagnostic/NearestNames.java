package io.ucp.lang.diagnostic;

import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.Collectors;

/// The names that a person may have meant.
public final class NearestNames {
    private NearestNames() {}

    private record Scored(String candidate, int distance) {}

    /// Longer names are near to none: what they cost grows with the square of their length.
    private static final int LONGEST = 1_000;

    /// Up to `limit` (1 or more) of the candidates that are near to a name, the nearest first; ties
    /// in the order of the alphabet. Near means that at most a third of the longer name must be
    /// changed, inserted, removed or swapped with its neighbour. A candidate costs its length times
    /// the edits that the nearest so far allow it; of many names, [NearHints] bounds how often all
    /// candidates are looked at.
    public static List<String> of(String name, Collection<String> candidates, int limit) {
        TreeSet<Scored> nearest =
                new TreeSet<>(
                        Comparator.comparingInt(Scored::distance).thenComparing(Scored::candidate));
        for (String candidate : candidates) {
            int most =
                    Math.min(
                            2 * allowed(name, candidate),
                            nearest.size() == limit
                                    ? nearest.getLast().distance
                                    : Integer.MAX_VALUE);
            if (candidate.equals(name)
                    || Math.max(name.length(), candidate.length()) > LONGEST
                    || 2 * Math.abs(candidate.length() - name.length()) > most) {
                continue;
            }
            int distance = distance(name, candidate, most);
            if (distance <= most) {
                nearest.add(new Scored(candidate, distance));
                if (nearest.size() > limit) {
                    nearest.removeLast();
                }
            }
        }
        return nearest.stream().map(Scored::candidate).toList();
    }

    /// `did you mean 'a' or 'b'?` where there are near candidates.
    public static Optional<String> hint(String name, Collection<String> candidates) {
        List<String> near = of(name, candidates, 3);
        if (near.isEmpty()) {
            return Optional.empty();
        }
        String names = near.stream().map(n -> "'" + n + "'").collect(Collectors.joining(" or "));
        return Optional.of("did you mean " + names + "?");
    }

    private static int allowed(String a, String b) {
        return Math.max(1, Math.max(a.length(), b.length()) / 3);
    }

    /// Twice the edits between two names; letter case counts as half an edit for the whole name.
    ///
    /// @param most above this the distance is only known to be above it
    private static int distance(String a, String b, int most) {
        String left = a.toLowerCase(Locale.ROOT);
        String right = b.toLowerCase(Locale.ROOT);
        boolean sameCase = left.equals(a) == right.equals(b);
        return 2 * edits(left, right, most / 2) + (sameCase ? 0 : 1);
    }

    /// Insertions, removals, changes and swaps of neighbours that make one text of the other; one
    /// more than `most` where that is not enough. Only what is within `most` of the diagonal can be
    /// on the way.
    private static int edits(String left, String right, int most) {
        int far = most + 1;
        int width = right.length() + 1;
        int[] beforeLast = new int[width];
        int[] last = new int[width];
        int[] row = new int[width];
        Arrays.fill(beforeLast, far);
        Arrays.setAll(last, i -> Math.min(i, far));
        int leastBefore = 0;
        for (int i = 1; i <= left.length(); i++) {
            int from = Math.max(1, i - most);
            int to = Math.min(right.length(), i + most);
            Arrays.fill(row, far);
            row[0] = Math.min(i, far);
            int least = row[0];
            for (int j = from; j <= to; j++) {
                int change = left.charAt(i - 1) == right.charAt(j - 1) ? 0 : 1;
                int edits = Math.min(Math.min(row[j - 1], last[j]) + 1, last[j - 1] + change);
                boolean swapped =
                        i > 1
                                && j > 1
                                && left.charAt(i - 1) == right.charAt(j - 2)
                                && left.charAt(i - 2) == right.charAt(j - 1);
                if (swapped) {
                    edits = Math.min(edits, beforeLast[j - 2] + 1);
                }
                row[j] = Math.min(edits, far);
                least = Math.min(least, row[j]);
            }
            if (least > most && leastBefore > most) {
                return far;
            }
            leastBefore = least;
            int[] free = beforeLast;
            beforeLast = last;
            last = row;
            row = free;
        }
        return last[right.length()];
    }
}
