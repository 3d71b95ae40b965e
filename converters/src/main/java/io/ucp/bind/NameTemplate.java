package io.ucp.bind;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Names that differ in numbers only, as one pattern: `2.mlp.weight` and `3.mlp.weight` are
/// `{l}.mlp.weight`; further numbers are `{e}`, `{n}`, `{n2}`, ..
final class NameTemplate {
    private static final List<String> CAPTURES = List.of("l", "e", "n");

    private NameTemplate() {}

    static String of(String name) {
        String[] parts = name.split("\\.", -1);
        int numbers = 0;
        for (int i = 0; i < parts.length; i++) {
            if (isNumber(parts[i])) {
                parts[i] = "{" + capture(numbers++) + "}";
            }
        }
        return String.join(".", parts);
    }

    /// The numbers of a name, in order.
    static List<Long> numbers(String name) {
        List<Long> numbers = new ArrayList<>();
        Arrays.stream(name.split("\\.", -1))
                .filter(NameTemplate::isNumber)
                .forEach(part -> numbers.add(Long.parseLong(part)));
        return numbers;
    }

    static String capture(int ordinal) {
        return ordinal < CAPTURES.size() ? CAPTURES.get(ordinal) : "n" + (ordinal - 1);
    }

    static boolean isNumber(String part) {
        for (int i = 0; i < part.length(); i++) {
            if (part.charAt(i) < '0' || part.charAt(i) > '9') {
                return false;
            }
        }
        return !part.isEmpty() && part.length() <= 18;
    }
}
