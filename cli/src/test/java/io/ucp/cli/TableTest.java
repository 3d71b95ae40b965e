package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;

import java.io.PrintWriter;
import java.io.StringWriter;

final class TableTest {
    private static final Terminal PIPE = new Terminal(false, 40, false);

    @Test
    void columnsAreAsWideAsTheirWidestCell() {
        Table table = new Table("name", "size");
        table.row("a", "1 B");
        table.row("a longer one", "12.0 kB");
        assertThat(printed(table, PIPE))
                .isEqualTo(
                        """
                        name          size
                        a             1 B
                        a longer one  12.0 kB
                        """);
    }

    @Test
    void emptyColumnIsLeftOut() {
        Table table = new Table("name", "note", "size");
        table.row("a", "", "1 B");
        assertThat(printed(table, PIPE)).isEqualTo("name  size\na     1 B\n");
    }

    @Test
    void narrowTerminalShortensTheFirstColumnInTheMiddle() {
        Table table = new Table("name", "size");
        table.row("language_model.encoder.layers.0.self_attention.weight", "12.0 kB");
        assertThat(printed(table, new Terminal(true, 40, false)))
                .contains("language_model...ntion.weight  12.0 kB".substring(0, 12))
                .satisfies(text -> assertThat(text.lines()).allMatch(l -> l.length() <= 40));
        assertThat(printed(table, PIPE)).contains("layers.0.self_attention");
    }

    @Test
    void controlCharactersInNamesAreShownNotSent() {
        Table table = new Table("name");
        table.row("a\033[2Jb\u202ec");
        assertThat(printed(table, PIPE)).isEqualTo("name\na\\u001b[2Jb\\u202ec\n");
    }

    @Test
    void rowOfAnotherWidthIsAFault() {
        assertThatIllegalArgumentException().isThrownBy(() -> new Table("a", "b").row("x"));
    }

    private static String printed(Table table, Terminal terminal) {
        StringWriter out = new StringWriter();
        table.print(new PrintWriter(out, true), terminal);
        return out.toString().replace(System.lineSeparator(), "\n");
    }
}
