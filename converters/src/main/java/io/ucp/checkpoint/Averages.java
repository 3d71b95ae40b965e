package io.ucp.checkpoint;

import io.ucp.formats.Finding;
import io.ucp.layout.Agreement;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/// The states whose value is the mean of copies: the copies themselves are not given back.
final class Averages {
    private static final int NAMED = 8;

    private Averages() {}

    static List<Finding> told(List<Parameter> parameters) {
        Map<String, List<String>> byStates = new LinkedHashMap<>();
        for (Parameter p : parameters) {
            String states =
                    p.states().entrySet().stream()
                            .filter(s -> s.getValue().agreement() == Agreement.AVERAGE)
                            .map(Map.Entry::getKey)
                            .collect(Collectors.joining(", "));
            if (!states.isEmpty()) {
                byStates.computeIfAbsent(states, _ -> new ArrayList<>()).add(p.name());
            }
        }
        List<Finding> told = new ArrayList<>();
        byStates.forEach(
                (states, names) -> {
                    String first = names.stream().limit(NAMED).collect(Collectors.joining(", "));
                    int more = names.size() - NAMED;
                    told.add(
                            new Finding(
                                    "average",
                                    "the value is the mean of copies, which are not given back: %s of %s%s"
                                            .formatted(
                                                    states,
                                                    first,
                                                    more > 0
                                                            ? " and %d more".formatted(more)
                                                            : "")));
                });
        return told;
    }
}
