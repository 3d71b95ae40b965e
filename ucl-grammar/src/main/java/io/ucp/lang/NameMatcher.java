package io.ucp.lang;

import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.NamePattern.Piece;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.MatchResult;

/// A name pattern made ready to be held against many names.
public final class NameMatcher {
    private final NamePattern pattern;
    private final NameRegex compiled;
    private final List<String> captures;
    private final boolean named;

    /// What a number in a name is more than what it captures, by capture.
    private final Map<String, Long> more;

    private NameMatcher(
            NamePattern pattern, NameRegex compiled, boolean named, Map<String, Long> more) {
        this.pattern = pattern;
        this.compiled = compiled;
        this.captures = pattern.captures();
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
                    new NameMatcher(glob, NameRegex.of(glob), false, more(glob));
            case NamePattern.Regex regex ->
                    new NameMatcher(regex, NameRegex.of(regex), true, Map.of());
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
    ///
    /// @throws io.ucp.lang.diagnostic.SpecException where that does not come to an end
    public Optional<Map<String, String>> match(String name) {
        Optional<MatchResult> found = compiled.match(name);
        if (found.isEmpty()) {
            return Optional.empty();
        }
        MatchResult matcher = found.get();
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
        return more.isEmpty() ? compiled.match(name).isPresent() : match(name).isPresent();
    }

    /// The name that captures give and from which they can be read again; nothing where there is
    /// none: a number that is counted from is no number, has zeros before it or would come to less
    /// than 0; the pattern would cut the name elsewhere; or it has a wildcard, or is a regular
    /// expression.
    ///
    /// @param values of all captures of the pattern; others are not looked at
    public Optional<String> name(Map<String, String> values) {
        boolean counts =
                more.keySet().stream()
                        .allMatch(
                                name ->
                                        NameRegex.NUMBER
                                                .matcher(values.getOrDefault(name, ""))
                                                .matches());
        if (!counts || !(pattern instanceof NamePattern.Glob glob) || !glob.isName()) {
            return Optional.empty();
        }
        String name = glob.withCaptures(values);
        return match(name)
                .filter(back -> values.entrySet().containsAll(back.entrySet()))
                .map(_ -> name);
    }
}
