package io.ucp.lang.diagnostic;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

class NearestNamesTest {
    @Test
    void theNearestNameComesFirst() {
        List<String> names = List.of("exp_avg_sq", "exp_avg", "fp32", "step");
        assertThat(NearestNames.of("exp_agv", names, 3)).containsExactly("exp_avg");
        assertThat(NearestNames.of("exp_avg_s", names, 3)).containsExactly("exp_avg_sq", "exp_avg");
    }

    @Test
    void letterCaseIsNearerThanAnyEdit() {
        assertThat(NearestNames.of("Exp", List.of("Exq", "exp"), 3)).containsExactly("exp", "Exq");
    }

    @Test
    void nothingIsNearToSomethingElse() {
        assertThat(NearestNames.of("something", List.of("pp", "dp", "tp"), 3)).isEmpty();
        assertThat(NearestNames.hint("something", List.of("pp"))).isEmpty();
    }

    @Test
    void theHintAsks() {
        assertThat(NearestNames.hint("pt", List.of("tp", "pp", "model")))
                .contains("did you mean 'pp' or 'tp'?");
    }

    @Test
    void noMoreThanTheLimitComeAndNoneTwice() {
        assertThat(NearestNames.of("ab", List.of("aa", "ac", "ad", "aa"), 2))
                .containsExactly("aa", "ac");
    }

    @Test
    void theNameItselfIsNoAnswer() {
        assertThat(NearestNames.of("ab", List.of("ab"), 2)).isEmpty();
    }

    static IntStream seeds() {
        return IntStream.range(0, 200);
    }

    /// Against every distance computed in full.
    @ParameterizedTest
    @MethodSource("seeds")
    void theNearestAreThoseOfAllDistances(int seed) {
        Random random = new Random(seed);
        List<String> names = Stream.generate(() -> text(random)).limit(40).toList();
        String name = text(random);
        int limit = random.nextInt(1, 5);
        List<String> expected =
                names.stream()
                        .distinct()
                        .filter(n -> !n.equals(name) && distance(name, n) <= 2 * allowed(name, n))
                        .sorted(
                                Comparator.comparingInt((String n) -> distance(name, n))
                                        .thenComparing(Comparator.naturalOrder()))
                        .limit(limit)
                        .toList();
        assertThat(NearestNames.of(name, names, limit)).isEqualTo(expected);
    }

    private static String text(Random random) {
        return random.ints(random.nextInt(1, 12), 0, 4)
                .mapToObj(i -> "abcA".substring(i, i + 1))
                .collect(Collectors.joining());
    }

    private static int allowed(String a, String b) {
        return Math.max(1, Math.max(a.length(), b.length()) / 3);
    }

    private static int distance(String a, String b) {
        String left = a.toLowerCase(Locale.ROOT);
        String right = b.toLowerCase(Locale.ROOT);
        int[][] edits = new int[left.length() + 1][right.length() + 1];
        for (int i = 0; i <= left.length(); i++) {
            for (int j = 0; j <= right.length(); j++) {
                if (i == 0 || j == 0) {
                    edits[i][j] = i + j;
                    continue;
                }
                int change = left.charAt(i - 1) == right.charAt(j - 1) ? 0 : 1;
                edits[i][j] =
                        Math.min(
                                Math.min(edits[i - 1][j], edits[i][j - 1]) + 1,
                                edits[i - 1][j - 1] + change);
                if (i > 1
                        && j > 1
                        && left.charAt(i - 1) == right.charAt(j - 2)
                        && left.charAt(i - 2) == right.charAt(j - 1)) {
                    edits[i][j] = Math.min(edits[i][j], edits[i - 2][j - 2] + 1);
                }
            }
        }
        boolean sameCase = left.equals(a) == right.equals(b);
        return 2 * edits[left.length()][right.length()] + (sameCase ? 0 : 1);
    }

    @Test
    void aNameThatIsVeryLongIsNearToNone() {
        String name = "x".repeat(1_000);
        assertThat(NearestNames.of(name, List.of(name + "y"), 1)).isEmpty();
        assertThat(NearestNames.of(name.substring(1), List.of(name), 1)).containsExactly(name);
    }

    @Test
    void theFirstHundredOfARunHaveHints() {
        NearHints hints = new NearHints();
        for (int i = 0; i < 100; i++) {
            assertThat(hints.of("ab", List.of("aa"), 1)).containsExactly("aa");
        }
        assertThat(hints.hint("ab", List.of("aa"))).isEmpty();
    }
}
