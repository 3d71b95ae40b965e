package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.ToLongFunction;

/// How DeepSpeed divides the experts of one optimizer group that the script made: into groups of as
/// many elements as [#MOST] allows, all with the hyperparameters of that one.
///
/// Source: DeepSpeed `moe/utils.py` (`split_params_into_different_moe_groups_for_optimizer`).
public final class ExpertSplit {
    /// `max_group_size`.
    static final long MOST = 178_956_971;

    private ExpertSplit() {}

    /// The group holds experts, by the mark that the optimizer keeps.
    public static boolean isExpert(PickleValue paramGroup) {
        return paramGroup.find("moe").filter(new PyBool(true)::equals).isPresent();
    }

    /// Whether two groups have the same hyperparameters.
    public static boolean alike(PickleValue a, PickleValue b) {
        return without(a).equals(without(b));
    }

    private static Optional<PyDict> without(PickleValue paramGroup) {
        return paramGroup.asDict().map(d -> d.without("params"));
    }

    /// The groups that parameters in this order are split into. Where the first alone is too large,
    /// there is one without members before it: DeepSpeed closes the group that it has not filled.
    ///
    /// @param count elements of one
    public static <T> List<List<T>> of(List<T> members, ToLongFunction<T> count) {
        return of(members, count, MOST);
    }

    static <T> List<List<T>> of(List<T> members, ToLongFunction<T> count, long most) {
        List<List<T>> all = new ArrayList<>();
        List<T> open = new ArrayList<>();
        long held = 0;
        for (T member : members) {
            long own = count.applyAsLong(member);
            if (held + own > most) {
                all.add(List.copyOf(open));
                open.clear();
                held = 0;
            }
            open.add(member);
            held += own;
        }
        if (!open.isEmpty()) {
            all.add(List.copyOf(open));
        }
        return all;
    }
}
