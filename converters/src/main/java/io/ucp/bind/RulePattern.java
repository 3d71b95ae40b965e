package io.ucp.bind;

import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.NamePattern.Piece;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// A name pattern that also says where in a name its captures lie, so that they can be given other
/// values: names that are numbered per stage or per expert rank become global ones.
final class RulePattern {
    private final NamePattern pattern;
    private final Pattern compiled;
    private final List<String> captures;
    private final boolean regex;

    private RulePattern(NamePattern pattern, Pattern compiled, boolean regex) {
        this.pattern = pattern;
        this.compiled = compiled;
        this.captures = pattern.captures();
        this.regex = regex;
    }

    static RulePattern of(NamePattern pattern) {
        return switch (pattern) {
            case NamePattern.Regex r -> new RulePattern(r, Pattern.compile(r.expression()), true);
            case NamePattern.Glob g -> {
                StringBuilder out = new StringBuilder("(?s)");
                for (Piece piece : g.pieces()) {
                    out.append(
                            switch (piece) {
                                case Piece.Text(String text) -> Pattern.quote(text);
                                case Piece.Any(boolean deep) -> deep ? ".*" : "[^.]*";
                                case Piece.Capture(_, boolean deep) -> deep ? "(.+)" : "([^.]+)";
                                case Piece.Counted _ -> "(\\d+)";
                            });
                }
                yield new RulePattern(g, Pattern.compile(out.toString()), false);
            }
        };
    }

    NamePattern pattern() {
        return pattern;
    }

    boolean isExact() {
        return pattern instanceof NamePattern.Glob g && g.isExact();
    }

    /// A name cut at the captures.
    ///
    /// @param texts between the captures, one more than there are captures
    /// @param names of the captures, in the order in the name
    /// @param values of the captures, in the same order
    record Match(List<String> texts, List<String> names, List<String> values) {
        Map<String, String> captures() {
            Map<String, String> map = new LinkedHashMap<>();
            for (int i = 0; i < names.size(); i++) {
                map.put(names.get(i), values.get(i));
            }
            return Collections.unmodifiableMap(map);
        }

        /// The name with other values for some captures.
        String with(Map<String, String> changed) {
            StringBuilder out = new StringBuilder(texts.getFirst());
            for (int i = 0; i < names.size(); i++) {
                out.append(changed.getOrDefault(names.get(i), values.get(i)));
                out.append(texts.get(i + 1));
            }
            return out.toString();
        }
    }

    Optional<Match> match(String name) {
        Matcher matcher = compiled.matcher(name);
        if (!matcher.matches()) {
            return Optional.empty();
        }
        List<String> texts = new ArrayList<>();
        List<String> names = new ArrayList<>();
        List<String> values = new ArrayList<>();
        int at = 0;
        for (int i = 0; i < captures.size(); i++) {
            String capture = captures.get(i);
            int start = regex ? matcher.start(capture) : matcher.start(i + 1);
            int end = regex ? matcher.end(capture) : matcher.end(i + 1);
            if (start < at) {
                continue;
            }
            texts.add(name.substring(at, start));
            names.add(capture);
            values.add(name.substring(start, end));
            at = end;
        }
        texts.add(name.substring(at));
        return Optional.of(new Match(texts, names, values));
    }
}
