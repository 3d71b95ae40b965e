package io.ucp.checkpoint;

import io.ucp.formats.ParameterFacts;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/// The atom: one whole parameter and where every element of its states lies.
///
/// @param states by name, in the order of `facts.states()`
public record Parameter(ParameterFacts facts, Map<String, StateHolding> states) {
    public Parameter {
        states = Collections.unmodifiableMap(new LinkedHashMap<>(states));
    }

    public String name() {
        return facts.name();
    }
}
