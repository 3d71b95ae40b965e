package io.ucp.formats.deepspeed.writing;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// The optimizer groups of every model-parallel rank (ZeRO-3: their sub-groups), cut.
final class OptimizerGroups {
    private final List<List<Group>> ranks = new ArrayList<>();

    /// @param source number of the optimizer group in the source
    /// @param number among the groups that this rank has
    record Group(int source, int number, FlatParts parts) {}

    OptimizerGroups(RankHoldings holdings, Ranks target, Configuration configuration) {
        for (int mp = 0; mp < target.mp(); mp++) {
            List<Group> groups = new ArrayList<>();
            int number = 0;
            for (Map.Entry<Integer, List<Held>> e : holdings.groups(mp).entrySet()) {
                if (configuration.stage() == 3) {
                    for (List<Held> members :
                            FlatParts.subGroups(
                                    e.getValue(), target.dp(), configuration.subGroupSize())) {
                        groups.add(
                                new Group(
                                        e.getKey(), number, FlatParts.each(members, target.dp())));
                    }
                } else {
                    groups.add(
                            new Group(
                                    e.getKey(),
                                    number,
                                    FlatParts.endToEnd(e.getValue(), target.dp())));
                }
                number++;
            }
            ranks.add(List.copyOf(groups));
        }
    }

    List<Group> on(int mp) {
        return ranks.get(mp);
    }
}
