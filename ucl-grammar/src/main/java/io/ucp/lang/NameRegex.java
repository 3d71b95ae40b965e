package io.ucp.lang;

import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.NamePattern.Piece;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;

import java.util.Optional;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// A regular expression that whole names are held against. Others wrote the names, and often the
/// expression, so that it may not take a name without end: it gives up after some millions of
/// steps, and where it nests deeper than the stack.
public final class NameRegex {
    /// A number that counts from another, as it is written.
    static final Pattern NUMBER = Pattern.compile("0|[1-9][0-9]{0,17}");

    private static final int MOST_STEPS = 10_000_000;

    private final Pattern compiled;
    private final Span span;

    private NameRegex(Pattern compiled, Span span) {
        this.compiled = compiled;
        this.span = span;
    }

    /// Of a pattern of a spec. Its captures are groups: by their names of a regular expression,
    /// else by their place, from 1.
    ///
    /// @throws java.util.regex.PatternSyntaxException when it is an invalid regular expression; a
    ///   parsed spec has none
    public static NameRegex of(NamePattern pattern) {
        return switch (pattern) {
            case NamePattern.Glob glob -> new NameRegex(Pattern.compile(regex(glob)), glob.span());
            case NamePattern.Regex regex ->
                    new NameRegex(Pattern.compile(regex.expression()), regex.span());
        };
    }

    /// One that no spec wrote.
    public static NameRegex of(Pattern compiled) {
        return new NameRegex(compiled, Span.NONE);
    }

    private static String regex(NamePattern.Glob glob) {
        return glob.pieces().stream()
                .map(NameRegex::regex)
                .collect(Collectors.joining("", "(?s)", ""));
    }

    private static String regex(Piece piece) {
        return switch (piece) {
            case Piece.Text(String text) -> Pattern.quote(text);
            case Piece.Any(boolean deep) -> deep ? ".*" : "[^.]*";
            case Piece.Capture(_, boolean deep) -> deep ? "(.+)" : "([^.]+)";
            case Piece.Counted _ -> "(" + NUMBER.pattern() + ")";
        };
    }

    /// Where its groups are, when the whole name matches.
    ///
    /// @throws SpecException where that does not come to an end
    public Optional<MatchResult> match(String name) {
        try {
            Matcher matcher = compiled.matcher(new Counted(name));
            return matcher.matches() ? Optional.of(matcher) : Optional.empty();
        } catch (TooManySteps | StackOverflowError _) {
            throw new SpecException(
                    Diagnostic.error(
                            span,
                            "the pattern '%s' does not come to an end on the name '%s'; expected one without repetitions in repetitions"
                                    .formatted(shortened(compiled.pattern()), shortened(name))));
        }
    }

    private static String shortened(String text) {
        return text.length() <= 60 ? text : text.substring(0, 60) + "…";
    }

    private static final class TooManySteps extends RuntimeException {
        private static final long serialVersionUID = 1L;

        TooManySteps() {
            super(null, null, false, false);
        }
    }

    /// A name that counts how often it is looked at.
    private static final class Counted implements CharSequence {
        private final String name;
        private int steps;

        Counted(String name) {
            this.name = name;
        }

        @Override
        public char charAt(int index) {
            if (++steps > MOST_STEPS) {
                throw new TooManySteps();
            }
            return name.charAt(index);
        }

        @Override
        public int length() {
            return name.length();
        }

        @Override
        public CharSequence subSequence(int start, int end) {
            return name.substring(start, end);
        }

        @Override
        public String toString() {
            return name;
        }
    }
}
