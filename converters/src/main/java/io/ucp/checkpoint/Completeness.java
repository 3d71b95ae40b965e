package io.ucp.checkpoint;

import io.ucp.formats.IncompleteCheckpointException;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/// Every trainable parameter has the states of its optimizer group, `step` included.
final class Completeness {
    private Completeness() {}

    static void check(Iterable<Parameter> parameters) throws IncompleteCheckpointException {
        Map<Integer, Parameter> first = new HashMap<>();
        for (Parameter parameter : parameters) {
            if (parameter.states().isEmpty()) {
                throw new IncompleteCheckpointException(
                        parameter.name(), "no state", "at least its weight", "");
            }
            if (parameter.facts().optimizerGroup() < 0) {
                continue;
            }
            Parameter other = first.putIfAbsent(parameter.facts().optimizerGroup(), parameter);
            if (other != null && !states(parameter).equals(states(other))) {
                throw new IncompleteCheckpointException(
                        parameter.name(),
                        "states " + states(parameter),
                        "%s, as %s of the same optimizer group has"
                                .formatted(states(other), other.name()),
                        "");
            }
        }
    }

    /// Optimizer states: the model's own copy may be kept apart.
    private static Set<String> states(Parameter parameter) {
        Set<String> states = new TreeSet<>(parameter.states().keySet());
        states.addAll(parameter.facts().scalars().keySet());
        states.remove("weight");
        return states;
    }
}
