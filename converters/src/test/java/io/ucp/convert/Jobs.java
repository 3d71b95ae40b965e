package io.ucp.convert;

import io.ucp.bind.TargetRequest;
import io.ucp.bind.TargetRequest.Framework;

/// Jobs that are asked for.
public final class Jobs {
    private Jobs() {}

    /// @param stage ZeRO stage
    public static TargetRequest deepspeed(int dp, int stage) {
        return TargetRequest.SAME.withDp(dp).withStage(stage);
    }

    public static TargetRequest megatron(int tp) {
        return TargetRequest.SAME.withFramework(Framework.MEGATRON).withTp(tp);
    }
}
