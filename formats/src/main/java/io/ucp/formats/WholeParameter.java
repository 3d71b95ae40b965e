package io.ucp.formats;

import io.ucp.tensor.Piece;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// A parameter that its format describes as a whole, with the tensors that hold its states: one
/// each, or several that each say which elements they are.
///
/// @param states state name -> the tensors that hold it, every element once
public record WholeParameter(ParameterFacts facts, Map<String, List<Placed>> states) {
    public WholeParameter {
        Map<String, List<Placed>> copy = new LinkedHashMap<>();
        states.forEach((state, placed) -> copy.put(state, List.copyOf(placed)));
        states = Collections.unmodifiableMap(copy);
    }

    /// A tensor placed in the parameter.
    ///
    /// @param piece the elements of the parameter, at the tensor's row-major positions
    public record Placed(TensorEntry tensor, Piece piece) {}

    /// Each state in one tensor.
    ///
    /// @param states state name -> the whole tensor (of `facts.shape()`, or of `facts.realShape()`
    ///   where the format strips padding rows; a flat tensor of as many elements where the format
    ///   keeps only those)
    public static WholeParameter of(ParameterFacts facts, Map<String, TensorEntry> states) {
        Map<String, List<Placed>> placed = new LinkedHashMap<>();
        states.forEach(
                (state, tensor) ->
                        placed.put(
                                state, List.of(new Placed(tensor, Piece.whole(tensor.shape())))));
        return new WholeParameter(facts, placed);
    }

    /// The one tensor that holds a state.
    ///
    /// @throws IllegalArgumentException where there is none, or more than one
    public TensorEntry tensor(String state) {
        List<Placed> placed = states.getOrDefault(state, List.of());
        if (placed.size() != 1) {
            throw new IllegalArgumentException(
                    "%s: %d tensors of %s".formatted(facts.name(), placed.size(), state));
        }
        return placed.getFirst().tensor();
    }

    /// State name -> the one tensor that holds it.
    ///
    /// @throws IllegalArgumentException where a state is in more than one
    public Map<String, TensorEntry> tensors() {
        Map<String, TensorEntry> tensors = new LinkedHashMap<>();
        states.keySet().forEach(state -> tensors.put(state, tensor(state)));
        return tensors;
    }
}
