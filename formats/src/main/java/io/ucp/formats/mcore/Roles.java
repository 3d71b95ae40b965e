package io.ucp.formats.mcore;

import java.util.Set;

/// What the files are called that a job of Megatron-LM leaves beside its parameters, whichever of
/// its formats they were in: what one of them reads, the other writes.
public final class Roles {
    /// `model_optim_rng.pt` of a rank: `args`, settings of the optimizer, schedulers, generators.
    public static final String MODEL = "model";

    /// `distrib_optim.pt` of a rank.
    public static final String OPTIMIZER = "optimizer";

    /// A file that no rank owns.
    public static final String SIDE = "side";

    /// States of layers that are no parameters (`_extra_state`), by names that count over the whole
    /// model: `{name: value}`, in files that are no rank's.
    public static final String LAYERS = "layer_states";

    /// What the legacy form has no place for: `{key: object}` of a sharded checkpoint.
    public static final String OBJECTS = "sharded_objects";

    /// Where a rank's file lies in its folder.
    public static final String MODEL_FILE = "model_optim_rng.pt";

    /// The format of `--ckpt-format torch`.
    public static final String LEGACY = "megatron";

    /// The format of `--ckpt-format torch_dist`.
    public static final String DIST = "megatron-dist";

    static final Set<String> FORMATS = Set.of(LEGACY, DIST);

    private Roles() {}
}
