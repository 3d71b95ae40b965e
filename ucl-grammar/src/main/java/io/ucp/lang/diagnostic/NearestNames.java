package io.ucp.lang.diagnostic;

import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/// The names that a person may have meant.
public final class NearestNames {
    private NearestNames() {}

    /// Up to `limit` of the candidates that are near to a name, the nearest first; ties in the
    /// order of the alphabet. Near means that at most a third of the longer name must be changed,
    /// inserted, removed or swapped with its neighbour. Each candidate costs O(length²); very many
    /// are fine, very long are not.
    public static List<String> of(String name, Collection<String> candidates, int limit) {
        record Scored(String candidate, int distance) {}
        return candidates.stream()
                .distinct()
                .filter(candidate -> !candidate.equals(name))
                .filter(
                        candidate ->
                                Math.abs(candidate.length() - name.length())
                                        <= allowed(name, candidate))
                .map(candidate -> new Scored(candidate, distance(name, candidate)))
                .filter(scored -> scored.distance <= 2 * allowed(name, scored.candidate))
                .sorted(Comparator.comparingInt(Scored::distance).thenComparing(Scored::candidate))
                .limit(limit)
                .map(Scored::candidate)
                .toList();
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
    private static int distance(String a, String b) {
        String left = a.toLowerCase(Locale.ROOT);
        String right = b.toLowerCase(Locale.ROOT);
        boolean sameCase = left.equals(a) == right.equals(b);
        return 2 * edits(left, right) + (sameCase ? 0 : 1);
    }

    /// Insertions, removals, changes and swaps of neighbours that make one text of the other.
    private static int edits(String left, String right) {
        int[] beforeLast = new int[right.length() + 1];
        int[] last = new int[right.length() + 1];
        Arrays.setAll(last, i -> i);
        for (int i = 1; i <= left.length(); i++) {
            int[] row = new int[right.length() + 1];
            row[0] = i;
            for (int j = 1; j <= right.length(); j++) {
                int change = left.charAt(i - 1) == right.charAt(j - 1) ? 0 : 1;
                row[j] = Math.min(Math.min(row[j - 1], last[j]) + 1, last[j - 1] + change);
                boolean swapped =
                        i > 1
                                && j > 1
                                && left.charAt(i - 1) == right.charAt(j - 2)
                                && left.charAt(i - 2) == right.charAt(j - 1);
                if (swapped) {
                    row[j] = Math.min(row[j], beforeLast[j - 2] + 1);
                }
            }
            beforeLast = last;
            last = row;
        }
        return last[right.length()];
    }
}
