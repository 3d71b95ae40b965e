package io.ucp.bind;

import io.ucp.lang.NameRegex;

import java.util.regex.Pattern;

/// Regular expressions of Python's `re.match`, which need only match the start of a name, as
/// regular expressions of `java.util.regex` that match the whole name. Source: the two languages'
/// references.
final class PythonRegex {
    private PythonRegex() {}

    /// @throws IllegalArgumentException where it is no regular expression, or Java has no such
    ///   construct (conditionals `(?(1)..)`)
    static NameRegex compiled(String regex) {
        return NameRegex.of(Pattern.compile(fullMatch(regex)));
    }

    /// Whether a name matches; what is no regular expression matches none.
    static boolean matches(String regex, String name) {
        try {
            return compiled(regex).match(name).isPresent();
        } catch (IllegalArgumentException _) {
            return false;
        }
    }

    /// @throws IllegalArgumentException as [#compiled], as far as it shows without compiling
    static String fullMatch(String regex) {
        String java = translated(regex);
        return (hasTopLevelAlternative(java) ? "(?:" + java + ")" : java) + ".*";
    }

    private static String translated(String regex) {
        StringBuilder out = new StringBuilder();
        boolean inClass = false;
        int i = 0;
        while (i < regex.length()) {
            char c = regex.charAt(i);
            if (c == '\\' && i + 1 < regex.length()) {
                char next = regex.charAt(i + 1);
                out.append('\\').append(next == 'Z' ? 'z' : next);
                i += 2;
            } else if (inClass) {
                // Java nests classes and intersects them with &&; Python takes both literally.
                boolean first =
                        out.charAt(out.length() - 1) == '['
                                || out.indexOf("[^", out.length() - 2) >= 0;
                if (c == '[' || c == '&') {
                    out.append('\\').append(c);
                } else if (c == ']' && first) {
                    out.append("\\]");
                } else {
                    inClass = c != ']';
                    out.append(c);
                }
                i++;
            } else if (regex.startsWith("(?P<", i)) {
                int end = end(regex, '>', i);
                out.append("(?<").append(groupName(regex.substring(i + 4, end))).append('>');
                i = end + 1;
            } else if (regex.startsWith("(?P=", i)) {
                int end = end(regex, ')', i);
                out.append("\\k<").append(groupName(regex.substring(i + 4, end))).append('>');
                i = end + 1;
            } else if (regex.startsWith("(?#", i)) {
                i = end(regex, ')', i) + 1;
            } else if (regex.startsWith("(?(", i)) {
                throw new IllegalArgumentException(
                        "conditional group in '%s'; expected a regular expression without"
                                .formatted(regex));
            } else if (regex.startsWith("{,", i)) {
                out.append("{0,");
                i += 2;
            } else {
                inClass = c == '[';
                out.append(c);
                i++;
            }
        }
        return out.toString();
    }

    private static int end(String regex, char closing, int from) {
        int end = regex.indexOf(closing, from);
        if (end < 0) {
            throw new IllegalArgumentException(
                    "no '%c' behind '%s'".formatted(closing, regex.substring(from)));
        }
        return end;
    }

    /// Java's group names have no `_`.
    private static String groupName(String python) {
        return python.replace("_", "");
    }

    private static boolean hasTopLevelAlternative(String regex) {
        int depth = 0;
        boolean inClass = false;
        for (int i = 0; i < regex.length(); i++) {
            switch (regex.charAt(i)) {
                case '\\' -> i++;
                case '[' -> inClass = true;
                case ']' -> inClass = false;
                case '(' -> depth += inClass ? 0 : 1;
                case ')' -> depth -= inClass ? 0 : 1;
                case '|' -> {
                    if (!inClass && depth == 0) {
                        return true;
                    }
                }
                default -> {
                    // A literal.
                }
            }
        }
        return false;
    }
}
