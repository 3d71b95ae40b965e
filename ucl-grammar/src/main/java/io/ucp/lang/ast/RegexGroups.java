package io.ucp.lang.ast;

import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/// The named groups of a regular expression.
final class RegexGroups {
    private RegexGroups() {}

    /// In the order written; none where the expression is invalid.
    static List<String> names(String expression) {
        try {
            return Pattern.compile(expression).namedGroups().entrySet().stream()
                    .sorted(Comparator.comparing(Map.Entry::getValue))
                    .map(Map.Entry::getKey)
                    .toList();
        } catch (PatternSyntaxException _) {
            return List.of();
        }
    }
}
