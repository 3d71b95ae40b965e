package io.ucp.lang;

import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.NamePattern.Piece;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// A name pattern made ready to be held against many names.
public final class NameMatcher {
    private final Pattern compiled;
    private final List<String> captures;
    private final boolean named;

    /// What a number in a name is more than what it captures, by capture.
    private final Map<String, Long> more;

    private NameMatcher(
            Pattern compiled, List<String> captures, boolean named, Map<String, Long> more) {
        this.compiled = compiled;
        this.captures = captures;
        this.named = named;
        this.more = Map.copyOf(more);
    }

    /// A matcher of whole names.
    ///
    /// @throws java.util.regex.PatternSyntaxException when it is an invalid regular expression; a
    ///   parsed spec has none
    public static NameMatcher of(NamePattern pattern) {
        return switch (pattern) {
            case NamePattern.Glob glob ->
                    new NameMatcher(
                            Pattern.compile(regex(glob)), glob.captures(), false, more(glob));
            case NamePattern.Regex regex ->
                    new NameMatcher(
                            Pattern.compile(regex.expression()), regex.captures(), true, Map.of());
        };
    }

    private static Map<String, Long> more(NamePattern.Glob glob) {
        Map<String, Long> more = new LinkedHashMap<>();
        for (Piece piece : glob.pieces()) {
            if (piece instanceof Piece.Counted(String name, long count)) {
                more.put(name, count);
            }
        }
        return more;
    }

    /// What the captures stand for, in the order written, when the whole name matches.
    public Optional<Map<String, String>> match(String name) {
        Matcher matcher = compiled.matcher(name);
        if (!matcher.matches()) {
            return Optional.empty();
        }
        Map<String, String> values = new LinkedHashMap<>();
        for (int i = 0; i < captures.size(); i++) {
            String capture = captures.get(i);
            String value = named ? matcher.group(capture) : matcher.group(i + 1);
            Long count = more.get(capture);
            if (value != null && count != null) {
                long number = Long.parseLong(value) - count;
                if (number < 0) {
                    return Optional.empty();
                }
                value = Long.toString(number);
            }
            if (value != null) {
                values.put(capture, value);
            }
        }
        return Optional.of(values);
    }

    /// Whether the whole name matches.
    public boolean matches(String name) {
        return compiled.matcher(name).matches();
    }

    private static String regex(NamePattern.Glob glob) {
        return glob.pieces().stream()
                .map(NameMatcher::regex)
                .collect(Collectors.joining("", "(?s)", ""));
    }

    private static String regex(Piece piece) {
        return switch (piece) {
            case Piece.Text(String text) -> Pattern.quote(text);
            case Piece.Any(boolean deep) -> deep ? ".*" : "[^.]*";
            case Piece.Capture(_, boolean deep) -> deep ? "(.+)" : "([^.]+)";
            case Piece.Counted _ -> "(0|[1-9][0-9]{0,17})";
        };
    }
}
