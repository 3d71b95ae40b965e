package io.ucp.bind;

import io.ucp.lang.NameRegex;
import io.ucp.lang.ast.NamePattern;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.MatchResult;

/// A name pattern that also says where in a name its captures lie, so that they can be given other
/// values: names that are numbered per stage or per expert rank become global ones.
final class RulePattern {
    private final NamePattern pattern;
    private final NameRegex compiled;
    private final List<String> captures;
    private final boolean regex;

    private RulePattern(NamePattern pattern, NameRegex compiled, boolean regex) {
        this.pattern = pattern;
        this.compiled = compiled;
        this.captures = pattern.captures();
        this.regex = regex;
    }

    static RulePattern of(NamePattern pattern) {
        return new RulePattern(
                pattern, NameRegex.of(pattern), pattern instanceof NamePattern.Regex);
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
        Optional<MatchResult> found = compiled.match(name);
        if (found.isEmpty()) {
            return Optional.empty();
        }
        MatchResult matcher = found.get();
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
