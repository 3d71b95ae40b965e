package io.ucp.checkpoint;

import io.ucp.layout.Agreement;
import io.ucp.layout.Replica;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/// A state of a parameter as the source holds it.
///
/// @param dtype of its elements in the source
/// @param copies at least one, those that must be equal side by side: the ones that give the value
///   first, then the alternatives to it
public record StateHolding(DType dtype, List<Copy> copies) {
    private static final Comparator<Copy> ORDER =
            Comparator.comparingInt((Copy c) -> c.replica().alternative())
                    .thenComparingInt(c -> c.replica().summand());

    public StateHolding {
        copies = copies.stream().sorted(ORDER).toList();
        if (copies.isEmpty()) {
            throw new IllegalArgumentException("a state without a copy");
        }
    }

    /// Copies that are all alike to each other.
    public static StateHolding of(DType dtype, List<Copy> copies, Agreement agreement) {
        List<Copy> alike = new ArrayList<>(copies.size());
        for (int c = 0; c < copies.size(); c++) {
            String label = copies.get(c).label();
            Replica replica =
                    switch (agreement) {
                        case EQUAL -> Replica.equal(label);
                        case FIRST -> new Replica(label, c, 0);
                        case AVERAGE -> new Replica(label, 0, c);
                    };
            alike.add(new Copy(replica, copies.get(c).fragments()));
        }
        return new StateHolding(dtype, alike);
    }

    /// What the copies are to each other as a whole.
    public Agreement agreement() {
        Replica first = copies.getFirst().replica();
        boolean averaged =
                copies.stream()
                        .map(Copy::replica)
                        .anyMatch(
                                r ->
                                        r.alternative() == first.alternative()
                                                && r.summand() != first.summand());
        if (averaged) {
            return Agreement.AVERAGE;
        }
        return copies.getLast().replica().alternative() == first.alternative()
                ? Agreement.EQUAL
                : Agreement.FIRST;
    }
}
