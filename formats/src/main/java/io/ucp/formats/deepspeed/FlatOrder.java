package io.ucp.formats.deepspeed;

import io.ucp.formats.FlatGroup.Member;
import io.ucp.formats.deepspeed.GroupHolders.Holders;
import io.ucp.formats.deepspeed.OptimizerStates.Slice;
import io.ucp.io.MalformedFileException;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The order in which a group's parameters lie, from where each part says that it holds them
/// (`param_slice_mappings`). The slices must tile the group: a parameter's slices follow each
/// other, add up to its size, and leave no hole.
///
/// @param extent elements of a part, padding included
record FlatOrder(Holders holders, List<Member> listed, int number, long extent) {

    /// @param offset elements from the start of the group
    private record Fragment(String name, long offset, long count, CheckpointFile file) {}

    List<Member> members() throws MalformedFileException {
        Map<String, Member> byName = new LinkedHashMap<>();
        listed.forEach(m -> byName.put(m.name(), m));
        List<Member> ordered = new ArrayList<>();
        long at = 0;
        long left = 0;
        String open = "";
        for (Fragment fragment : fragments()) {
            if (fragment.offset() != at) {
                throw fragment.file()
                        .malformed(
                                "%s begins at element %d of group %d"
                                        .formatted(fragment.name(), fragment.offset(), number),
                                "element %d, where the one before ends".formatted(at));
            }
            if (left == 0) {
                Member member = byName.remove(fragment.name());
                if (member == null) {
                    throw unknown(fragment);
                }
                ordered.add(member);
                open = member.name();
                left = member.shape().count();
            }
            if (!open.equals(fragment.name()) || fragment.count() > left) {
                throw fragment.file()
                        .malformed(
                                "%d elements of %s at element %d of group %d"
                                        .formatted(fragment.count(), fragment.name(), at, number),
                                "%d elements of %s: its size in `param_shapes`"
                                        .formatted(left, open));
            }
            left -= fragment.count();
            at += fragment.count();
        }
        if (left != 0) {
            throw last().malformed(
                            "the slices of group %d end inside %s".formatted(number, open),
                            "%d elements more of it".formatted(left));
        }
        return withEmpty(ordered, byName);
    }

    private List<Fragment> fragments() throws MalformedFileException {
        List<Fragment> fragments = new ArrayList<>();
        for (int p = 0; p < holders.groups().size(); p++) {
            CheckpointFile file = holders.files().get(p);
            Map<String, Slice> slices = holders.groups().get(p).slices().orElse(Map.of());
            for (Map.Entry<String, Slice> e : slices.entrySet()) {
                Slice slice = e.getValue();
                if (slice.count() > extent || slice.start() > extent - slice.count()) {
                    throw file.malformed(
                            "%s lies at element %d to %d of a part"
                                    .formatted(
                                            e.getKey(),
                                            slice.start(),
                                            slice.start() + slice.count()),
                            "an end at %d at most".formatted(extent));
                }
                if (slice.count() > 0) {
                    long offset = Math.addExact(Math.multiplyExact(p, extent), slice.start());
                    fragments.add(new Fragment(e.getKey(), offset, slice.count(), file));
                }
            }
        }
        fragments.sort(Comparator.comparingLong(Fragment::offset));
        return fragments;
    }

    private MalformedFileException unknown(Fragment fragment) {
        boolean doubled = listed.stream().anyMatch(m -> m.name().equals(fragment.name()));
        return fragment.file()
                .malformed(
                        "%s lies at element %d of group %d"
                                .formatted(fragment.name(), fragment.offset(), number),
                        doubled
                                ? "it in one place, and it was at a lower element too"
                                : "a parameter that `param_shapes` lists for the group");
    }

    /// Parameters without elements lie nowhere: they keep their place in `param_shapes` where all
    /// else does, and come last where not.
    private List<Member> withEmpty(List<Member> ordered, Map<String, Member> unheld)
            throws MalformedFileException {
        for (Member member : unheld.values()) {
            if (member.shape().count() > 0) {
                throw last().malformed(
                                "no rank holds %s of group %d".formatted(member.name(), number),
                                "each parameter of `param_shapes` in `param_slice_mappings`");
            }
        }
        List<Member> full = listed.stream().filter(m -> m.shape().count() > 0).toList();
        if (full.equals(ordered)) {
            return listed;
        }
        List<Member> all = new ArrayList<>(ordered);
        all.addAll(unheld.values());
        return all;
    }

    private CheckpointFile last() {
        return holders.files().getLast();
    }
}
