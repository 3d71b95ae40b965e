package io.ucp.formats.deepspeed.writing;

import java.util.ArrayList;
import java.util.List;

/// `round_robin_gradients`: DeepSpeed deals the parameters of a group to the ranks that share it,
/// the first to the first, the next to the next, and lays what each was dealt end to end.
/// `param_shapes` lists them so; `param_slice_mappings` tells of the model's order all the same.
///
/// Source: DeepSpeed `runtime/zero/stage_1_and_2.py` (`_round_robin_reorder`,
/// `_create_param_mapping`), `runtime/engine.py` (`_get_zero_param_shapes`).
public final class RoundRobin {
    private RoundRobin() {}

    /// In the order of the flat tensor.
    ///
    /// @param members in the model's order
    public static <T> List<T> dealt(List<T> members, int ranks) {
        return order(members.size(), ranks).stream().map(members::get).toList();
    }

    /// In the model's order.
    ///
    /// @param dealt in the order of the flat tensor
    public static <T> List<T> undone(List<T> dealt, int ranks) {
        List<T> members = new ArrayList<>(dealt);
        List<Integer> order = order(dealt.size(), ranks);
        for (int i = 0; i < order.size(); i++) {
            members.set(order.get(i), dealt.get(i));
        }
        return members;
    }

    /// The places in the model's order, in that of the flat tensor.
    private static List<Integer> order(int members, int ranks) {
        List<Integer> order = new ArrayList<>();
        for (int rank = 0; rank < ranks; rank++) {
            for (int i = rank; i < members; i += ranks) {
                order.add(i);
            }
        }
        return order;
    }
}
