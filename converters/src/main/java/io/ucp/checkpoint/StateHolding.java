package io.ucp.checkpoint;

import io.ucp.layout.Agreement;
import io.ucp.tensor.DType;

import java.util.List;

/// A state of a parameter as the source holds it.
///
/// @param dtype of its elements in the source
/// @param copies at least one; the first gives the value unless they are averaged
/// @param agreement what the copies are to each other
public record StateHolding(DType dtype, List<Copy> copies, Agreement agreement) {
    public StateHolding {
        copies = List.copyOf(copies);
        if (copies.isEmpty()) {
            throw new IllegalArgumentException("a state without a copy");
        }
    }
}
