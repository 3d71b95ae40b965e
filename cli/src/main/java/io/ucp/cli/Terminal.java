package io.ucp.cli;

import org.jspecify.annotations.Nullable;

import java.util.Optional;

/// A stream as the person at its other end sees it. The launcher asks the system, since Java
/// cannot, and passes on what it heard as `ucp.terminal` and `ucp.columns`.
///
/// @param interactive whether it is a terminal: else a file, a pipe or a test
/// @param columns of the terminal; of `COLUMNS` where that is set
/// @param colour whether to colour: only on a terminal, and not where `NO_COLOR` is set
record Terminal(boolean interactive, int columns, boolean colour) {
    private static final int USUAL = 80;
    private static final int NARROWEST = 40;

    private static final String STANDARD_OUTPUT = "1";
    private static final String STANDARD_ERROR = "2";

    /// Standard output.
    static Terminal out() {
        return of(STANDARD_OUTPUT);
    }

    /// Standard error.
    static Terminal err() {
        return of(STANDARD_ERROR);
    }

    private static Terminal of(String stream) {
        boolean interactive = System.getProperty("ucp.terminal", "").contains(stream);
        int columns =
                number(System.getenv("COLUMNS"))
                        .or(() -> number(System.getProperty("ucp.columns")))
                        .orElse(USUAL);
        String refused = Optional.ofNullable(System.getenv("NO_COLOR")).orElse("");
        boolean dumb = "dumb".equals(System.getenv("TERM"));
        return new Terminal(
                interactive,
                Math.max(columns, NARROWEST),
                interactive && !dumb && refused.isEmpty());
    }

    private static Optional<Integer> number(@Nullable String text) {
        return Optional.ofNullable(text)
                .filter(digits -> digits.matches("[1-9][0-9]{0,4}"))
                .map(Integer::valueOf);
    }

    /// Bold, where there is colour.
    String strong(String text) {
        return styled("1", text);
    }

    /// Faint, for what is read second.
    String faint(String text) {
        return styled("2", text);
    }

    /// What went well.
    String good(String text) {
        return styled("32", text);
    }

    /// What a person should look at.
    String warning(String text) {
        return styled("33", text);
    }

    private String styled(String code, String text) {
        return colour && !text.isEmpty() ? "\033[" + code + "m" + text + "\033[0m" : text;
    }
}
