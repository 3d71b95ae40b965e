package io.ucp.checkpoint;

import io.ucp.formats.Finding;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/// What a spec leaves out, told rule by rule.
final class Dropped {
    private static final int NAMED = 8;

    private Dropped() {}

    /// @param dropped name -> the rule that drops it
    static List<Finding> told(Map<String, String> dropped) {
        Map<String, TreeSet<String>> byRule = new TreeMap<>();
        dropped.forEach(
                (name, rule) -> byRule.computeIfAbsent(rule, _ -> new TreeSet<>()).add(name));
        List<Finding> told = new ArrayList<>();
        byRule.forEach(
                (rule, names) -> {
                    String first = names.stream().limit(NAMED).collect(Collectors.joining(", "));
                    int more = names.size() - NAMED;
                    told.add(
                            new Finding(
                                    rule,
                                    "left out with all states: %s%s"
                                            .formatted(
                                                    first,
                                                    more > 0
                                                            ? " and %d more".formatted(more)
                                                            : "")));
                });
        return told;
    }
}
