package io.ucp.lang.diagnostic;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

import java.util.List;

class DiagnosticTest {
    @Test
    void placeLineCaretAndHintAreShown() {
        assertThat(Diagnostic.error(at("let a = b\nlet c = dd\n", "dd"), "found", "do").render())
                .isEqualTo(
                        """
                        x.ucl:2:9: error: found
                            let c = dd
                                    ^^
                            hint: do\
                        """);
    }

    @Test
    void whatNobodyWroteHasNoPlace() {
        assertThat(Diagnostic.error(Span.NONE, "found").render()).isEqualTo("error: found");
    }

    @Test
    void warningsSayThatTheyAre() {
        assertThat(Diagnostic.warning(Span.NONE, "found").withHint("do").render())
                .isEqualTo("warning: found\n    hint: do");
    }

    @Test
    void tabsBecomeSpacesAndCountAsOneColumn() {
        assertThat(Diagnostic.error(at("\tab\tcd", "cd"), "found").render())
                .isEqualTo(
                        """
                        x.ucl:1:5: error: found
                                ab  cd
                                    ^^\
                        """);
    }

    @Test
    void wideAndCombiningCharactersKeepTheCaretInPlace() {
        assertThat(Diagnostic.error(at("名前 e\u0301 😀 x", "x"), "found").render())
                .isEqualTo("x.ucl:1:9: error: found\n    名前 e\u0301 😀 x\n              ^");
        assertThat(Diagnostic.error(at("名前 x", "名前"), "found").render())
                .isEqualTo("x.ucl:1:1: error: found\n    名前 x\n    ^^^^");
    }

    @Test
    void controlAndBidirectionalCharactersAreNotSent() {
        assertThat(Diagnostic.error(at("a\u001b[31m \u202e b", "b"), "found").render())
                .isEqualTo("x.ucl:1:10: error: found\n    a\uFFFD[31m \uFFFD b\n             ^");
    }

    @Test
    void longLinesAreCutAroundTheSpan() {
        String line = "a ".repeat(200) + "here" + " b".repeat(200);
        String[] shown = Diagnostic.error(at(line, "here"), "found").render().split("\n", -1);
        assertThat(shown[0]).isEqualTo("x.ucl:1:401: error: found");
        assertThat(shown[1]).startsWith("    …a a ").endsWith(" b b…").hasSizeLessThan(110);
        assertThat(shown[1].indexOf("here")).isEqualTo(shown[2].indexOf("^^^^"));
    }

    @Test
    void longSpansAreMarkedAsFarAsTheLineIsShown() {
        String[] shown =
                Diagnostic.error(at("x".repeat(300), "x".repeat(300)), "f")
                        .render()
                        .split("\n", -1);
        assertThat(shown[2]).isEqualTo("    " + "^".repeat(100));
    }

    @Test
    void spansOverLinesAreMarkedOnTheFirst() {
        assertThat(Diagnostic.error(at("a {\n  b\n}", "{\n  b\n}"), "found").render())
                .isEqualTo("x.ucl:1:3: error: found\n    a {\n      ^");
    }

    @Test
    void theEndOfATextIsAPlace() {
        SourceText source = SourceText.of("x.ucl", "abc");
        assertThat(Diagnostic.error(new Span(source, 3, 3), "found").render())
                .isEqualTo("x.ucl:1:4: error: found\n    abc\n       ^");
    }

    @Test
    void anExceptionSaysAllItsDiagnostics() {
        SpecException e =
                new SpecException(
                        List.of(
                                Diagnostic.error(Span.NONE, "one"),
                                Diagnostic.error(Span.NONE, "two")));
        assertThat(e).hasMessage("error: one\nerror: two");
        assertThat(e.diagnostics()).extracting(Diagnostic::message).containsExactly("one", "two");
        assertThatThrownBy(() -> new SpecException(List.of()))
                .isInstanceOf(IllegalArgumentException.class);
    }

    private static Span at(String text, String part) {
        int start = text.indexOf(part);
        return new Span(SourceText.of("x.ucl", text), start, start + part.length());
    }
}
