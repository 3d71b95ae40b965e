package io.ucp.formats;

import java.util.Map;

/// A parameter's shard as its optimizer has it, where its states are [HeldTensor]s of their own.
///
/// @param name as those say it
/// @param at as those say it
/// @param optimizerGroup number of its group, -1 where that is not known
/// @param scalars state name -> value (`step`)
public record OptimizerMember(
        String name, Coordinate at, int optimizerGroup, Map<String, Scalar> scalars) {
    public OptimizerMember {
        scalars = Map.copyOf(scalars);
    }
}
