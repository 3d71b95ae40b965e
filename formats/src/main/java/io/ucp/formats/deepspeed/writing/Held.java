package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile.Part;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// What one model-parallel rank holds of a parameter; of an expert, one expert-parallel rank of it.
record Held(ParameterFacts facts, RankShard shard) {
    static final String FP32 = "fp32";
    static final String WEIGHT = "weight";

    String name() {
        return shard.localName();
    }

    /// Elements, padding included.
    long count() {
        return shard.shape().count();
    }

    /// The expert-parallel rank that holds it, -1 where each does.
    int expertRank() {
        return shard.at().indices().getOrDefault("ep", -1);
    }

    boolean expert() {
        return expertRank() >= 0;
    }

    boolean trainable() {
        return facts.trainable() && !facts.buffer();
    }

    /// Local elements `[from, to)` of a state, from `offset` bytes of a storage on; what is new
    /// padding has no part and stays zero.
    Optional<Part> part(String state, DType dtype, long from, long to, long offset) {
        long end = Math.min(to, shard.real());
        if (from >= end) {
            return Optional.empty();
        }
        List<Piece> pieces = new ArrayList<>();
        for (Piece piece : shard.pieces()) {
            pieces.addAll(piece.cut(from, end));
        }
        String held = facts.heldAs(state).orElse(state);
        return Optional.of(
                new Part.Elements(
                        offset, new Elementwise(facts.name(), held, dtype, end - from, pieces)));
    }

    /// The whole shard as the model's own copy of it. The master is the truth wherever there is
    /// one: DeepSpeed makes its 16-bit weights from it after every step.
    Optional<Part> weight(DType dtype) {
        return weight(dtype, 0, count());
    }

    Optional<Part> weight(DType dtype, long from, long to) {
        return part(weightState(), dtype, from, to, 0);
    }

    private String weightState() {
        if (facts.states().containsKey(FP32)) {
            return FP32;
        }
        if (facts.states().containsKey(WEIGHT)) {
            return WEIGHT;
        }
        throw new RefusedException(
                facts.name(),
                "neither an fp32 state nor a weight",
                "one of them, which the model's weights are made of",
                "convert the checkpoint that this state came from");
    }

    /// Where the model was trained in fp32, its weights are the master.
    ///
    /// @throws RefusedException where the source does not have the state
    DType dtype(String state) {
        DType dtype = facts.states().get(state);
        if (dtype == null && state.equals(FP32) && facts.heldAs(FP32).isPresent()) {
            return DType.FLOAT32;
        }
        if (dtype == null) {
            throw new RefusedException(
                    facts.name(),
                    "there is no state `%s`, which other parameters of its group have"
                            .formatted(state),
                    "the same states for every parameter of optimizer group "
                            + facts.optimizerGroup(),
                    "--to universal keeps what there is");
        }
        return dtype;
    }
}
