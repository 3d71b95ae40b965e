package io.ucp.formats.deepspeed.universal;

/// The roles of carried files here.
final class Carried {
    static final String MODEL_STATES = "model_states";
    static final String OPTIMIZER = "optimizer";
    static final String OPTIMIZER_STATE = "optimizer_state";
    static final String LAYER = "layer";
    static final String SIDE = "side";

    private Carried() {}
}
