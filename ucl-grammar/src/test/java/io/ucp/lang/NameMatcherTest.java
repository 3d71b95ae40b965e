package io.ucp.lang;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.NamePattern.Glob;
import io.ucp.lang.ast.NamePattern.Piece;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;

import org.junit.jupiter.api.Test;

import java.util.List;
import java.util.Map;
import java.util.Optional;

class NameMatcherTest {
    @Test
    void aCaptureTakesOnePartOfAPath() {
        assertThat(match("\"{l}.mlp.weight\"", "12.mlp.weight")).isEqualTo("{l=12}");
        assertThat(match("\"{l}.mlp.weight\"", "a.12.mlp.weight")).isEqualTo("no");
        assertThat(match("\"{l}.mlp.weight\"", ".mlp.weight")).isEqualTo("no");
        assertThat(match("\"layer_{l}.{kind}\"", "layer_7.bias")).isEqualTo("{l=7, kind=bias}");
    }

    @Test
    void aDeepCaptureTakesSeveral() {
        assertThat(match("\"model.{rest**}\"", "model.a.b.c")).isEqualTo("{rest=a.b.c}");
        assertThat(match("\"model.{rest**}\"", "model.")).isEqualTo("no");
    }

    @Test
    void oneStarStopsAtADotTwoDoNot() {
        assertThat(match("\"a.*norm\"", "a.input_norm")).isEqualTo("{}");
        assertThat(match("\"a.*norm\"", "a.norm")).isEqualTo("{}");
        assertThat(match("\"a.*norm\"", "a.b.norm")).isEqualTo("no");
        assertThat(match("\"a.**norm\"", "a.b.norm")).isEqualTo("{}");
        assertThat(match("\"**\"", "")).isEqualTo("{}");
    }

    @Test
    void whatHasAMeaningInRegularExpressionsHasNoneInQuotes() {
        assertThat(match("\"a+(b)[c]\"", "a+(b)[c]")).isEqualTo("{}");
        assertThat(match("\"a.b\"", "axb")).isEqualTo("no");
        assertThat(match("\"a\\\\E.b\"", "a\\E.b")).isEqualTo("{}");
        assertThat(match("\"a\\*\\{b\\}\"", "a*{b}")).isEqualTo("{}");
    }

    @Test
    void aRegularExpressionMatchesWholeNames() {
        assertThat(match("re\"(?<l>\\d+)\\.x\"", "3.x")).isEqualTo("{l=3}");
        assertThat(match("re\"\\d+\"", "3.x")).isEqualTo("no");
        assertThat(match("re\"\\d+.*\"", "3.x")).isEqualTo("{}");
        assertThat(match("re\"(?<a>x)|(?<b>y)\"", "y")).isEqualTo("{b=y}");
    }

    @Test
    void aNameIsMadeFromItsCaptures() {
        Glob glob = (Glob) pattern("\"layers.{l}.{rest**}\"");
        assertThat(glob.withCaptures(Map.of("l", "3", "rest", "a.b"))).isEqualTo("layers.3.a.b");
        assertThatThrownBy(() -> glob.withCaptures(Map.of("l", "3")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("no value for {rest}");
        assertThatThrownBy(() -> Glob.of(new Piece.Any(false)).withCaptures(Map.of()))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void aNameIsMadeOnlyWhereItLeadsBackToItsCaptures() {
        assertThat(name("{l + 2}.w", Map.of("l", "3"))).contains("5.w");
        assertThat(name("{l - 2}.w", Map.of("l", "1"))).isEmpty();
        assertThat(name("{l + 2}.w", Map.of("l", "03"))).isEmpty();
        assertThat(name("{l + 2}.w", Map.of("l", "x"))).isEmpty();
        assertThat(name("{l + 2}.w", Map.of("l", "9999999999999999999"))).isEmpty();
        assertThat(name("{a**}.{b**}", Map.of("a", "x", "b", "y.z"))).isEmpty();
        assertThat(name("{a**}.{b**}", Map.of("a", "x.y", "b", "z"))).contains("x.y.z");
        assertThat(name("{a}.{b}", Map.of("a", "x", "b", "y", "c", "z"))).contains("x.y");
    }

    private static Optional<String> name(String right, Map<String, String> captures) {
        SourceText source =
                SourceText.of("x.ucl", "ucl 1\nrename \"%1$s\" <-> \"%1$s\"\n".formatted(right));
        Glob glob = Ucl.parse(source).renames().getFirst().right().getFirst();
        return NameMatcher.of(glob).name(captures);
    }

    @Test
    void aPatternThatDoesNotComeToAnEndOnANameIsAnError() {
        for (String endless : List.of("re\"(a+)+b\"", "re\"(a|x)*y\"", "\"**a**a**a**a**a**b\"")) {
            assertThatThrownBy(() -> match(endless, "a".repeat(20_000)))
                    .isInstanceOf(SpecException.class)
                    .hasMessageContaining("x.ucl:2:7: error: the pattern '")
                    .hasMessageContaining("does not come to an end on the name 'aaaa");
        }
        assertThat(match("\"**.{l}.**.weight\"", "a.".repeat(1_000) + "weight")).isEqualTo("{l=a}");
    }

    @Test
    void oneNameWithoutWildcardsIsExact() {
        assertThat(((Glob) pattern("\"a.b\\*\"")).isExact()).isTrue();
        assertThat(((Glob) pattern("\"a.*\"")).isExact()).isFalse();
        assertThat(((Glob) pattern("\"a.{l}\"")).isExact()).isFalse();
        assertThat(NameMatcher.of(Glob.exact("a.*{x}")).matches("a.*{x}")).isTrue();
    }

    @Test
    void neighboursThatSayTheSameAreJoined() {
        Glob glob =
                Glob.of(
                        new Piece.Text("a"),
                        new Piece.Text("b"),
                        new Piece.Any(false),
                        new Piece.Any(false),
                        new Piece.Any(true));
        assertThat(glob.pieces()).containsExactly(new Piece.Text("ab"), new Piece.Any(true));
    }

    private static String match(String pattern, String name) {
        return NameMatcher.of(pattern(pattern)).match(name).map(Object::toString).orElse("no");
    }

    private static NamePattern pattern(String written) {
        SourceText source = SourceText.of("x.ucl", "ucl 1\nparam " + written + "\n");
        return Ucl.parse(source).params().getFirst().patterns().getFirst();
    }
}
