package io.ucp.formats.mcore;

import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile.Part;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.List;

/// What a rank of the target holds of a parameter.
///
/// @param name in its file
public record HeldShard(String name, ParameterFacts facts, RankShard shard) {
    /// As the file has it.
    public Shape shape() {
        return GroupedExperts.together(facts.name(), shard.shape());
    }

    public boolean isTrained() {
        return facts.trainable() && !facts.buffer();
    }

    public boolean isExpert() {
        return Names.isExpert(facts.name());
    }

    /// The whole shard of a state, from `offset` bytes of a storage on; what is new padding has no
    /// part and stays zero.
    ///
    /// @throws RefusedException where the source does not have the state
    public List<Part> parts(String state, DType dtype, long offset) {
        if (shard.real() == 0) {
            return List.of();
        }
        List<Piece> pieces = new ArrayList<>();
        for (Piece piece : shard.pieces()) {
            pieces.addAll(piece.cut(0, shard.real()));
        }
        return List.of(
                new Part.Elements(
                        offset,
                        new Elementwise(facts.name(), held(state), dtype, shard.real(), pieces)));
    }

    private String held(String state) {
        return facts.heldAs(state)
                .orElseThrow(
                        () ->
                                new RefusedException(
                                        facts.name(),
                                        "there is no state `%s`".formatted(state),
                                        "the same states for every parameter",
                                        "--to universal keeps what there is"));
    }
}
