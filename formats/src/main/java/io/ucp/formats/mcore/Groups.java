package io.ucp.formats.mcore;

/// Which optimizer group a parameter is of. Some releases number the groups of a stage by what
/// comes first in it, so that their numbers and settings do not tell: what a parameter is, does.
///
/// Source: Megatron-LM `core/optimizer/__init__.py` (`get_standard_config_overrides`,
/// `_get_param_groups`).
///
/// @param queryNormsDecayed `apply_wd_to_qk_layernorm`
/// @param ownRate `decoupled_lr`: embeddings and head have a learning rate of their own
/// @param together whether all parameters are one group
public record Groups(boolean queryNormsDecayed, boolean ownRate, boolean together) {
    public static Groups of(Arguments arguments) {
        return new Groups(
                arguments.is("apply_wd_to_qk_layernorm"),
                arguments.find("decoupled_lr").isPresent(),
                false);
    }

    public Groups allTogether() {
        return new Groups(false, false, true);
    }

    /// The same on every rank: 0 and 1 with and without weight decay, 2 more for experts that have
    /// an optimizer of their own, 4 more for a learning rate of its own.
    public int number(String name, int rank, boolean expertOptimizer) {
        int number = expertOptimizer ? 2 : 0;
        if (together) {
            return number;
        }
        boolean queryNorm =
                queryNormsDecayed
                        && (name.contains("q_layernorm.") || name.contains("k_layernorm."));
        return number
                + (Names.isDecayed(name, rank) || queryNorm ? 0 : 1)
                + (ownRate && Names.isEmbeddingOrHead(name) ? 4 : 0);
    }
}
