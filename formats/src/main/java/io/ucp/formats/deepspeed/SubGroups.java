package io.ucp.formats.deepspeed;

import io.ucp.formats.FlatGroup.Member;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/// Which parameters a ZeRO-3 sub-group holds. `param_shapes` has one dict a sub-group; where older
/// files have one for all, the lengths of the flat tensors tell where each sub-group ends.
final class SubGroups {
    private SubGroups() {}

    static List<List<Member>> members(
            CheckpointFile file, List<Map<String, Shape>> shapes, OptimizerStates optimizer, int dp)
            throws MalformedFileException {
        List<List<Member>> listed = new ArrayList<>();
        List<Member> all = new ArrayList<>();
        for (Map<String, Shape> group : shapes) {
            List<Member> members =
                    group.entrySet().stream()
                            .map(e -> new Member(e.getKey(), e.getValue()))
                            .toList();
            listed.add(members);
            all.addAll(members);
        }
        if (listed.size() == optimizer.groups().size()) {
            return listed;
        }
        List<List<Member>> cut = new ArrayList<>();
        int next = 0;
        for (OptimizerStates.Group group : optimizer.groups()) {
            long left = group.master().map(t -> t.shape().count()).orElse(0L);
            List<Member> members = new ArrayList<>();
            while (next < all.size() && left > 0) {
                Member member = all.get(next++);
                members.add(member);
                left -= Math.ceilDiv(member.shape().count(), group.partitions().orElse(dp));
            }
            if (left != 0) {
                throw optimizer
                        .file()
                        .malformed(
                                "sub-group %d ends inside a parameter%s"
                                        .formatted(
                                                group.number(),
                                                members.isEmpty()
                                                        ? ""
                                                        : ", " + members.getLast().name()),
                                "sub-groups that hold whole parameters of `param_shapes` in "
                                        + file.label());
            }
            cut.add(members);
        }
        if (next != all.size()) {
            throw file.malformed(
                    "%d parameters from %s on are in no sub-group of %s"
                            .formatted(
                                    all.size() - next,
                                    all.get(next).name(),
                                    optimizer.file().label()),
                    "every parameter of `param_shapes` in one");
        }
        return cut;
    }
}
