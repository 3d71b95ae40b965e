package io.ucp.formats;

import java.util.Map;

/// A parameter with the tensors of its states, each held whole.
///
/// @param states state name -> the whole tensor (of `facts.shape()`, or of `facts.realShape()`
///   where the format strips padding rows; a flat tensor of as many elements where the format keeps
///   only those)
public record WholeParameter(ParameterFacts facts, Map<String, TensorEntry> states) {
    public WholeParameter {
        states = Map.copyOf(states);
    }
}
