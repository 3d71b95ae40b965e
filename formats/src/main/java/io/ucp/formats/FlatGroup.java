package io.ucp.formats;

import io.ucp.tensor.Shape;

import java.util.List;
import java.util.Map;

/// An optimizer group (or ZeRO-3 sub-group) whose states are flat tensors, as one model-parallel
/// rank holds it: the members' shards in flat order, and the parts its data-parallel ranks hold.
///
/// Not `each` (ZeRO-1, 2): the members end to end, zero-padded, cut in equal parts of `partExtent`
/// elements. `each` (ZeRO-3): every member is padded on its own to a multiple of the number of
/// parts and cut in parts of `ceil(n / parts)`; a rank's flat tensor holds its part of each, in
/// order. Source: DeepSpeed `runtime/zero/stage_1_and_2.py`, `stage3.py`,
/// `runtime/bf16_optimizer.py`.
///
/// @param number the group's (or sub-group's) number in the files
/// @param optimizerGroup the optimizer group it belongs to (differs from `number` for sub-groups)
/// @param at without the axis it is cut over
/// @param axis the axis it is cut over: `dp`, or `edp` for experts
/// @param parts in order along `axis`
public record FlatGroup(
        int number,
        int optimizerGroup,
        Coordinate at,
        String axis,
        boolean each,
        List<Member> members,
        List<Part> parts) {
    public FlatGroup {
        members = List.copyOf(members);
        parts = List.copyOf(parts);
    }

    /// A parameter's shard, by its name on disk and its local (tensor-parallel) shape.
    public record Member(String name, Shape shape) {}

    /// What one rank holds.
    ///
    /// @param partExtent elements of its part, padding included
    /// @param states state name -> flat tensor; a tensor may be shorter than `partExtent` where the
    ///   padding is not stored
    /// @param scalars state name -> value held once for the whole group (`step`)
    public record Part(
            Coordinate at,
            long partExtent,
            Map<String, TensorEntry> states,
            Map<String, Scalar> scalars) {
        public Part {
            states = Map.copyOf(states);
            scalars = Map.copyOf(scalars);
        }
    }
}
