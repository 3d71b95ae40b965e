package io.ucp.lang.diagnostic;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.lang.diagnostic.SourceText.Position;

import org.junit.jupiter.api.Test;

class SourceTextTest {
    @Test
    void linesAndColumnsCountFromOne() {
        SourceText text = SourceText.of("x", "ab\ncd\n");
        assertThat(text.position(0)).isEqualTo(new Position(1, 1));
        assertThat(text.position(2)).isEqualTo(new Position(1, 3));
        assertThat(text.position(3)).isEqualTo(new Position(2, 1));
        assertThat(text.position(6)).isEqualTo(new Position(3, 1));
        assertThat(text.position(99)).isEqualTo(new Position(3, 1));
    }

    @Test
    void columnsCountCodePoints() {
        assertThat(SourceText.of("x", "😀b").position(2)).isEqualTo(new Position(1, 2));
    }

    @Test
    void linesComeWithoutTheirEnds() {
        SourceText text = SourceText.of("x", "ab\r\n\ncd");
        assertThat(text.line(1)).isEqualTo("ab");
        assertThat(text.line(2)).isEmpty();
        assertThat(text.line(3)).isEqualTo("cd");
    }

    @Test
    void spansLieInTheirText() {
        SourceText text = SourceText.of("x", "abc");
        assertThat(new Span(text, 1, 2).text()).isEqualTo("b");
        assertThat(new Span(text, 0, 1).to(new Span(text, 2, 3)).text()).isEqualTo("abc");
        assertThatThrownBy(() -> new Span(text, 2, 4)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Span(text, 2, 1)).isInstanceOf(IllegalArgumentException.class);
    }
}
