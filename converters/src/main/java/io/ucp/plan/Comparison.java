package io.ucp.plan;

import java.util.List;

/// How two checkpoints are compared: the states that both hold alike, side by side in a plan that
/// writes nothing, and those that cannot be put side by side.
///
/// @param plan one target for each state; differences between the sides are those of the label of
///   [TargetPlan.Against]
/// @param unlike states that both hold with another shape or dtype
/// @param onlyFirst states (`parameter/state`) that only the first holds, in its order
/// @param onlySecond states that only the second holds
public record Comparison(
        CopyPlan plan, List<Unlike> unlike, List<String> onlyFirst, List<String> onlySecond) {
    public Comparison {
        unlike = List.copyOf(unlike);
        onlyFirst = List.copyOf(onlyFirst);
        onlySecond = List.copyOf(onlySecond);
    }

    /// @param first what the first holds: `[8, 4] float32`
    public record Unlike(String parameter, String state, String first, String second) {}
}
