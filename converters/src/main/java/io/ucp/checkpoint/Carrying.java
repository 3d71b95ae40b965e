package io.ucp.checkpoint;

import io.ucp.bind.Renamed;
import io.ucp.layout.Rearrangement;
import io.ucp.tensor.Piece;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// [Renamed#carry], with what it gave before: the states of a parameter are cut alike, so are the
/// bytes that are carried along, and so are the layers of a model. They share the pieces.
final class Carrying {
    /// @param there from the parameter on the left to the tensor between the sides
    /// @param back from that on the right
    private record Asked(List<Rearrangement> there, List<Rearrangement> back, Piece piece) {}

    private final Map<Asked, List<Piece>> known = new HashMap<>();

    /// Elements of parameter `from` on the left, as pieces of `to` on the right.
    List<Piece> carry(Renamed renamed, int from, int to, Piece piece) {
        List<Rearrangement> there = renamed.left().get(from).toMiddle();
        List<Rearrangement> back = renamed.right().get(to).toMiddle();
        return there.isEmpty() && back.isEmpty()
                ? List.of(piece)
                : known.computeIfAbsent(
                        new Asked(there, back, piece), _ -> renamed.carry(from, to, piece));
    }
}
