package io.ucp.convert;

import io.ucp.bind.TargetRequest;
import io.ucp.bind.TargetRequest.Framework;
import io.ucp.bind.TargetRequest.VocabularyPadding;

import java.util.Optional;
import java.util.OptionalInt;

/// Jobs that are asked for.
public final class Jobs {
    private Jobs() {}

    /// @param stage ZeRO stage
    public static TargetRequest deepspeed(int dp, int stage) {
        return new TargetRequest(
                OptionalInt.empty(),
                OptionalInt.empty(),
                OptionalInt.of(dp),
                OptionalInt.empty(),
                OptionalInt.of(stage),
                Optional.empty(),
                Optional.empty(),
                VocabularyPadding.KEEP);
    }

    public static TargetRequest megatron(int tp) {
        return new TargetRequest(
                OptionalInt.of(tp),
                OptionalInt.empty(),
                OptionalInt.empty(),
                OptionalInt.empty(),
                OptionalInt.empty(),
                Optional.empty(),
                Optional.empty(),
                VocabularyPadding.KEEP,
                Framework.MEGATRON,
                OptionalInt.empty(),
                OptionalInt.empty());
    }
}
