package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.RefusedException;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// The optimizer groups of every rank (ZeRO-3: their sub-groups), cut over its data-parallel ranks,
/// or, of experts, over those that hold the same ones.
final class OptimizerGroups {
    private final ExpertPlaces experts;

    /// Model-parallel rank -> expert-parallel rank -> groups.
    private final List<List<List<Cut>>> ranks = new ArrayList<>();

    private record Cut(int source, int number, FlatParts parts, FlatParts said) {}

    /// @param said where the parts are by `param_slice_mappings`, which knows the model's order
    ///   only
    /// @param source number of the optimizer group in the source
    /// @param number among the groups that this rank has
    /// @param part the rank's own
    record Group(int source, int number, FlatParts parts, FlatParts said, int part) {
        /// Ranks that the group is cut over.
        int count() {
            return parts.ranks().size();
        }
    }

    /// @param dealt parameters take turns over the ranks that share a group
    OptimizerGroups(
            Ranks target,
            ExpertPlaces experts,
            ExpertGroups regrouped,
            Configuration configuration,
            boolean dealt) {
        this.experts = experts;
        for (int mp = 0; mp < target.mp(); mp++) {
            List<List<Cut>> ofExperts = new ArrayList<>();
            // Every expert-parallel rank has the same ones.
            Map<Integer, List<FlatParts>> dense = new HashMap<>();
            for (int e = 0; e < Math.max(1, experts.degree()); e++) {
                List<Cut> groups = new ArrayList<>();
                int number = 0;
                for (ExpertGroups.Members of : regrouped.of(mp, e)) {
                    List<FlatParts> parts =
                            isExpert(of.members())
                                    ? cut(of.members(), experts.replicas(), configuration)
                                    : dense.computeIfAbsent(
                                            of.source(),
                                            _ -> cut(of.members(), target.dp(), configuration));
                    for (FlatParts each : parts) {
                        groups.add(new Cut(of.source(), number, dealt ? each.dealt() : each, each));
                    }
                    number++;
                }
                ofExperts.add(List.copyOf(groups));
            }
            ranks.add(ofExperts);
        }
    }

    /// @param dp ranks that share the members
    private static List<FlatParts> cut(List<Held> members, int dp, Configuration configuration) {
        if (configuration.stage() == 0) {
            return List.of(FlatParts.whole(members));
        }
        if (configuration.stage() != 3) {
            return List.of(FlatParts.endToEnd(members, dp));
        }
        return FlatParts.subGroups(members, dp, configuration.subGroupSize()).stream()
                .map(sub -> FlatParts.each(sub, dp))
                .toList();
    }

    private static boolean isExpert(List<Held> members) {
        boolean expert = members.getFirst().expert();
        for (Held member : members) {
            if (member.expert() != expert) {
                throw new RefusedException(
                        member.facts().name(),
                        "it is %s, in an optimizer group with %s, which is %s"
                                .formatted(
                                        member.expert() ? "an expert" : "no expert",
                                        members.getFirst().facts().name(),
                                        expert ? "one" : "none"),
                        "groups of experts alone, which are cut over other ranks",
                        "a rule `expert .. over ep` for every expert, in --spec");
            }
        }
        return expert;
    }

    /// As one rank has them.
    List<Group> on(int mp, int dp) {
        return ranks.get(mp).get(experts.of(mp, dp)).stream()
                .map(
                        c ->
                                new Group(
                                        c.source(),
                                        c.number(),
                                        c.parts(),
                                        c.said(),
                                        c.parts().ranks().size() == 1
                                                ? 0
                                                : isExpert(c.parts().members())
                                                        ? experts.replica(mp, dp)
                                                        : dp))
                .toList();
    }
}
