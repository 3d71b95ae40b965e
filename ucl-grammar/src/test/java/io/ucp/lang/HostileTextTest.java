package io.ucp.lang;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/// Whatever the text is, the answer is a spec or a list of diagnostics.
class HostileTextTest {
    private static final Path GOLDEN = Path.of("src/test/resources/golden");

    @Test
    void aTextThatIsTooLargeIsRefused() {
        assertThatThrownBy(() -> parse("ucl 1\n" + "x".repeat(5_000_000)))
                .isInstanceOf(SpecException.class)
                .hasMessageStartingWith(
                        "x.ucl:1:1: error: a spec of 5,000,006 characters; expected at most"
                                + " 4,194,304");
    }

    @Test
    void bracketsThatNestTooDeepAreRefused() {
        for (String open : List.of("(", "[", "{")) {
            String text = "ucl 1\nlet a = " + open.repeat(100_000);
            assertThatThrownBy(() -> parse(text))
                    .isInstanceOf(SpecException.class)
                    .hasMessageContaining("brackets nested more than 100 deep");
        }
    }

    @Test
    void aRegularExpressionThatNestsTooDeepIsRefused() {
        for (String open : List.of("(", "[", "(?:a|")) {
            String text = "ucl 1\nparam re\"" + open.repeat(50_000) + "\"\n";
            assertThatThrownBy(() -> parse(text))
                    .isInstanceOf(SpecException.class)
                    .hasMessageContaining("expected at most 10,000 and 1,000 brackets");
        }
    }

    @Test
    void longNamesAreMatched() {
        SourceText source = SourceText.of("x.ucl", "ucl 1\nparam \"**.{l}.*x.{rest**}\"\n");
        NameMatcher matcher =
                NameMatcher.of(Ucl.parse(source).params().getFirst().patterns().getFirst());
        String part = "a".repeat(300_000);
        assertThat(matcher.match(part + ".7." + part + "x." + part))
                .hasValueSatisfying(captures -> assertThat(captures).containsEntry("l", "7"));
    }

    @Test
    void garbageIsRefusedInBoundedSpace() {
        SpecException e =
                catchThrowableOfType(
                        SpecException.class, () -> parse("ucl 1\n" + "@".repeat(1_000_000)));
        assertThat(e.diagnostics().getLast().message())
                .isEqualTo("999,900 more errors are not shown");
    }

    @Test
    void aLongChainOfConstantsIsFollowed() {
        StringBuilder text = new StringBuilder("ucl 1\nlet a0 = a0_\n");
        for (int i = 1; i < 50_000; i++) {
            text.append("let a%d = a%d\n".formatted(i, i - 1));
        }
        assertThat(Ucl.parse(SourceText.of("x.ucl", text.toString())).lets()).hasSize(50_000);
    }

    /// Every constant closes a cycle with the first: as many messages, none as long as its cycle.
    @Test
    void manyLongCyclesOfConstantsAreToldInBoundedSpace() {
        StringBuilder text = new StringBuilder("ucl 1\nlet a0 = a1\n");
        for (int i = 1; i < 50_000; i++) {
            text.append("let a%d = a0 + a%d\n".formatted(i, i + 1));
        }
        SpecException e = catchThrowableOfType(SpecException.class, () -> parse(text.toString()));
        assertThat(e.diagnostics()).hasSize(101);
        assertThat(e.diagnostics().get(99).message())
                .isEqualTo(
                        "constant 'a0' is defined by itself: a0 -> a1 -> a2 -> a3 -> a4 -> a5 ->"
                                + " a6 -> a7 -> a8 -> .. 91 more .. -> a100 -> a0");
    }

    @Test
    void aHundredErrorsAreEnough() {
        SpecException e =
                catchThrowableOfType(
                        SpecException.class, () -> parse("ucl 1\n" + "let = 1\n".repeat(1000)));
        assertThat(e.diagnostics()).hasSize(101);
        assertThat(e.diagnostics().getLast().message()).isEqualTo("900 more errors are not shown");
    }

    static IntStream seeds() {
        return IntStream.range(0, 300);
    }

    /// Words of the golden texts, some of them removed, doubled or put elsewhere.
    @ParameterizedTest
    @MethodSource("seeds")
    void aDamagedTextIsReadOrRefused(int seed) throws IOException {
        Random random = new Random(seed);
        List<String> words = words(anyGolden(random));
        for (int i = random.nextInt(1, 6); i > 0 && words.size() > 1; i--) {
            int at = random.nextInt(words.size());
            switch (random.nextInt(3)) {
                case 0 -> words.remove(at);
                case 1 -> words.add(at, words.get(random.nextInt(words.size())));
                default -> Collections.swap(words, at, random.nextInt(words.size()));
            }
        }
        SourceText source = SourceText.of("x.ucl", String.join(" ", words));
        try {
            String once = Ucl.format(source);
            assertThat(Ucl.format(SourceText.of("x.ucl", once))).isEqualTo(once);
            Ucl.parse(source);
        } catch (SpecException e) {
            assertThat(e.diagnostics()).isNotEmpty();
        }
    }

    /// Found by fuzzing: only CR and LF end a line of a spec, whatever else Unicode has.
    @Test
    void formFeedStaysInItsComment() {
        String text = "ucl 1\n\n// a\fb\u000bc\u0085d\u2028e\nspec x\n";
        assertThat(Ucl.format(SourceText.of("x.ucl", text))).contains("// a\fb");
    }

    private static String anyGolden(Random random) throws IOException {
        try (Stream<Path> files = Files.list(GOLDEN)) {
            List<Path> specs =
                    files.filter(file -> file.toString().endsWith(".ucl"))
                            .sorted()
                            .collect(Collectors.toList());
            return Files.readString(specs.get(random.nextInt(specs.size())));
        }
    }

    private static List<String> words(String text) {
        List<String> words = new ArrayList<>();
        Matcher matcher = Pattern.compile("//.*\n|\"[^\"\n]*\"|\\w+|\n|[^\\s\\w]").matcher(text);
        while (matcher.find()) {
            words.add(matcher.group());
        }
        return words;
    }

    private static void parse(String text) {
        Ucl.parse(SourceText.of("x.ucl", text));
    }
}
