package io.ucp.formats.deepspeed.universal;

/// The roles of carried files here.
final class Carried {
    static final String MODEL_STATES = "model_states";
    static final String OPTIMIZER = "optimizer";
    static final String OPTIMIZER_STATE = "optimizer_state";
    static final String LAYER = "layer";

    /// The weights of one expert.
    static final String EXPERT = "expert";

    /// Of a job without ZeRO, the optimizer of an expert-parallel rank.
    static final String EXPERT_OPTIMIZER = "expert_optimizer";

    static final String SIDE = "side";

    private Carried() {}
}
