package io.ucp.lang.internal;

import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern.Glob;
import io.ucp.lang.ast.NamePattern.Piece;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.Span;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Reads what is between the quotes of a name pattern.
final class PatternReader {
    private static final Pattern COUNTED =
            Pattern.compile("\\s*(\\w+)\\s*([+-])\\s*(\\d{1,9})\\s*");

    private final Span quoted;
    private final String raw;
    private final Problems problems;
    private final List<Piece> pieces = new ArrayList<>();
    private final StringBuilder literal = new StringBuilder();
    private final Set<String> captures = new HashSet<>();
    private final boolean countable;
    private int at;

    private PatternReader(Span quoted, Problems problems, boolean countable) {
        this.countable = countable;
        this.quoted = quoted;
        this.raw = quoted.text().substring(1, quoted.text().length() - 1);
        this.problems = problems;
    }

    /// @param quoted the literal with its quotes
    static Glob read(Span quoted, Problems problems) {
        return new PatternReader(quoted, problems, false).read();
    }

    /// A name of a rename, in which a number may be counted from another: `{l + 2}`.
    ///
    /// @param quoted the literal with its quotes
    static Glob readCounted(Span quoted, Problems problems) {
        return new PatternReader(quoted, problems, true).read();
    }

    private Glob read() {
        if (raw.isEmpty()) {
            problems.add(Diagnostic.error(quoted, "an empty name; expected a name or a pattern"));
        }
        while (at < raw.length()) {
            next();
        }
        endLiteral();
        return new Glob(pieces, quoted);
    }

    private void next() {
        char c = raw.charAt(at);
        switch (c) {
            case '\\' -> escape();
            case '*' -> any();
            case '{' -> capture();
            case '}' -> {
                String message = "'}' without '{' in a name pattern";
                problems.add(
                        Diagnostic.error(
                                here(at, at + 1), message, "the character is written \\}"));
                at++;
            }
            default -> {
                literal.append(c);
                at++;
            }
        }
    }

    private void any() {
        boolean deep = raw.startsWith("**", at);
        endLiteral();
        pieces.add(new Piece.Any(deep));
        at += deep ? 2 : 1;
    }

    private void capture() {
        int end = raw.indexOf('}', at);
        if (end < 0) {
            String message = "'{' without '}' in a name pattern";
            Span span = here(at, at + 1);
            problems.add(Diagnostic.error(span, message, "the character is written \\{"));
            at++;
            return;
        }
        Span span = here(at, end + 1);
        String inside = raw.substring(at + 1, end);
        Matcher counted = COUNTED.matcher(inside);
        if (counted.matches()) {
            counted(counted.group(1), counted.group(2) + counted.group(3), span);
            at = end + 1;
            return;
        }
        boolean deep = inside.endsWith("**");
        String name = deep ? inside.substring(0, inside.length() - 2) : inside;
        if (!Name.isName(name)) {
            problems.add(
                    Diagnostic.error(
                            span,
                            "'%s' cannot name a capture; expected letters, digits and _, no digit first"
                                    .formatted(name)));
        } else if (!captures.add(name)) {
            problems.add(Diagnostic.error(span, "'{%s}' twice in one pattern".formatted(name)));
        } else {
            endLiteral();
            pieces.add(new Piece.Capture(name, deep));
        }
        at = end + 1;
    }

    /// A number that is more, or less, than another.
    private void counted(String name, String more, Span span) {
        if (!countable) {
            problems.add(
                    Diagnostic.error(
                            span,
                            "'%s' counts from a number; expected that in a rename only"
                                    .formatted(span.text())));
        } else if (!Name.isName(name)) {
            problems.add(
                    Diagnostic.error(
                            span,
                            "'%s' cannot name a number; expected letters, digits and _, no digit first"
                                    .formatted(name)));
        } else if (!captures.add(name)) {
            problems.add(Diagnostic.error(span, "'{%s}' twice in one pattern".formatted(name)));
        } else {
            endLiteral();
            pieces.add(new Piece.Counted(name, Long.parseLong(more)));
        }
    }

    private void escape() {
        char c = raw.charAt(at + 1);
        int end = at + 2;
        switch (c) {
            case '\\', '"', '*', '{', '}' -> literal.append(c);
            case 'n' -> literal.append('\n');
            case 'r' -> literal.append('\r');
            case 't' -> literal.append('\t');
            case 'u' -> end = unicode();
            default -> badEscape(end);
        }
        at = end;
    }

    /// A backslash, `u` and `{1F600}`, from the backslash.
    private int unicode() {
        int end = raw.indexOf('}', at);
        if (!raw.startsWith("{", at + 2) || end < 0) {
            badEscape(at + 2);
            return at + 2;
        }
        try {
            literal.appendCodePoint(Integer.parseInt(raw, at + 3, end, 16));
        } catch (IllegalArgumentException _) {
            badEscape(end + 1);
        }
        return end + 1;
    }

    private void badEscape(int end) {
        Span span = here(at, end);
        problems.add(
                Diagnostic.error(
                        span,
                        "unknown escape '%s'; expected \\\\ \\\" \\* \\{ \\} \\n \\r \\t or \\u{HEX}"
                                .formatted(span.text())));
    }

    private void endLiteral() {
        if (!literal.isEmpty()) {
            pieces.add(new Piece.Text(literal.toString()));
            literal.setLength(0);
        }
    }

    private Span here(int from, int to) {
        int start = quoted.start() + 1;
        return new Span(quoted.source(), start + from, start + to);
    }
}
