package io.ucp.formats.megatron;

import io.ucp.formats.megatron.ModelChunks.Held;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Which optimizer group a parameter is of. Some releases number the groups of a stage by what
/// comes first in it, so that their numbers and settings do not tell: what a parameter is, does.
///
/// Source: Megatron-LM `core/optimizer/__init__.py` (`get_standard_config_overrides`,
/// `_get_param_groups`).
///
/// @param queryNormsDecayed `apply_wd_to_qk_layernorm`
/// @param ownRate `decoupled_lr`: embeddings and head have a learning rate of their own
/// @param together whether all parameters are one group
record Groups(boolean queryNormsDecayed, boolean ownRate, boolean together) {
    static Groups of(Arguments arguments) {
        return new Groups(
                arguments.is("apply_wd_to_qk_layernorm"),
                arguments.find("decoupled_lr").isPresent(),
                false);
    }

    Groups allTogether() {
        return new Groups(false, false, true);
    }

    /// The same on every rank: 0 and 1 with and without weight decay, 2 more for experts that have
    /// an optimizer of their own, 4 more for a learning rate of its own.
    int number(String name, int rank, boolean expertOptimizer) {
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

    /// Group -> its members, in the order of the model.
    Map<Integer, List<Held>> split(List<Held> parameters, boolean expertOptimizer) {
        Map<Integer, List<Held>> groups = new LinkedHashMap<>();
        for (Held held : parameters) {
            int number = number(held.global(), held.tensor().shape().rank(), expertOptimizer);
            groups.computeIfAbsent(number, _ -> new ArrayList<>()).add(held);
        }
        return groups;
    }
}
