package io.ucp.bind;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.layout.Rearrangement;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.List;

/// Parameters that become others, element by element, by a `rename` of a spec: one becomes one or
/// several, or several become one, by way of one tensor between the two sides.
///
/// @param left as the checkpoint names them
/// @param right as they are called from then on
/// @param rule the spec's text of the rule, for messages
public record Renamed(List<Side> left, List<Side> right, String rule) {
    public Renamed {
        left = List.copyOf(left);
        right = List.copyOf(right);
    }

    /// A parameter on one side.
    ///
    /// @param shape whole, padding included
    /// @param realShape without padding
    /// @param split how the source cut it, as far as that can be said of it
    /// @param toMiddle from it to the tensor between the sides
    public record Side(
            String name,
            Shape shape,
            Shape realShape,
            Split split,
            List<String> aliases,
            List<Rearrangement> toMiddle) {
        public Side {
            aliases = List.copyOf(aliases);
            toMiddle = List.copyOf(toMiddle);
        }

        /// As it is before anything is renamed.
        static Side of(ParameterFacts p) {
            return new Side(p.name(), p.shape(), p.realShape(), p.split(), p.aliases(), List.of());
        }

        static Side of(BoundParameter p) {
            return new Side(p.name(), p.shape(), p.realShape(), p.split(), p.aliases(), List.of());
        }

        Side by(List<Rearrangement> moves) {
            return new Side(name, shape, realShape, split, aliases, moves);
        }
    }

    /// The way back.
    public Renamed inverse() {
        return new Renamed(right, left, rule);
    }

    /// Whether a name is all that changes.
    public boolean isPlain() {
        return left.size() == 1
                && right.size() == 1
                && left.getFirst().toMiddle().isEmpty()
                && right.getFirst().toMiddle().isEmpty();
    }

    /// Elements of a parameter on the left, as pieces of one on the right; their local positions
    /// stay. Those that another one on the right has are left out.
    public List<Piece> carry(int from, int to, Piece piece) {
        List<Piece> pieces = List.of(piece);
        for (Rearrangement move : left.get(from).toMiddle()) {
            pieces = carry(pieces, move);
        }
        for (Rearrangement move : back(right.get(to).toMiddle())) {
            pieces = carry(pieces, move);
        }
        return pieces;
    }

    private static List<Piece> carry(List<Piece> pieces, Rearrangement move) {
        return pieces.stream().flatMap(p -> move.carry(p).stream()).toList();
    }

    /// The same moves undone.
    static List<Rearrangement> back(List<Rearrangement> moves) {
        List<Rearrangement> back = new ArrayList<>();
        moves.reversed().forEach(move -> back.add(move.inverse()));
        return back;
    }
}
