package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.TargetFile.Part;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.List;

/// An optimizer group (ZeRO-3: a sub-group) of one model-parallel rank, cut over its data-parallel
/// ranks.
///
/// Stages 1 and 2 lay the members end to end, pad with zeros to a multiple of twice the ranks, and
/// give each an equal part. Stage 3 pads every member on its own to a multiple of the ranks; a rank
/// holds its part of each, in order. What pads a stage-3 part is memory that DeepSpeed never
/// initialised: zeros here.
///
/// Source: DeepSpeed `runtime/bf16_optimizer.py`, `runtime/zero/stage_1_and_2.py`,
/// `runtime/zero/partition_parameters.py`.
///
/// @param extent elements of every rank's part, padding included
/// @param ranks what each rank holds, in order
record FlatParts(List<Held> members, long extent, List<List<Slice>> ranks) {
    /// Local elements `[from, to)` of a member, at `start` of a rank's part.
    record Slice(Held member, long from, long to, long start) {}

    static FlatParts endToEnd(List<Held> members, int dp) {
        long count = members.stream().mapToLong(Held::count).reduce(0, Math::addExact);
        long extent = Math.multiplyExact(Math.ceilDiv(count, 2L * dp), 2L);
        List<List<Slice>> ranks = new ArrayList<>();
        for (int r = 0; r < dp; r++) {
            ranks.add(new ArrayList<>());
        }
        long at = 0;
        for (Held member : members) {
            long end = at + member.count();
            long begin = at;
            while (begin < end) {
                int rank = Math.toIntExact(begin / extent);
                long stop = Math.min(end, (rank + 1) * extent);
                ranks.get(rank)
                        .add(new Slice(member, begin - at, stop - at, begin - rank * extent));
                begin = stop;
            }
            at = end;
        }
        return new FlatParts(members, extent, ranks);
    }

    /// The same members, end to end in turns over the ranks.
    FlatParts dealt() {
        return endToEnd(RoundRobin.dealt(members, ranks.size()), ranks.size());
    }

    /// On one rank, without padding: no ZeRO.
    static FlatParts whole(List<Held> members) {
        List<Slice> slices = new ArrayList<>();
        long at = 0;
        for (Held member : members) {
            slices.add(new Slice(member, 0, member.count(), at));
            at = Math.addExact(at, member.count());
        }
        return new FlatParts(members, at, List.of(slices));
    }

    static FlatParts each(List<Held> members, int dp) {
        List<List<Slice>> ranks = new ArrayList<>();
        for (int r = 0; r < dp; r++) {
            List<Slice> slices = new ArrayList<>();
            long start = 0;
            for (Held member : members) {
                long part = Math.ceilDiv(member.count(), dp);
                long from = Math.min(member.count(), r * part);
                slices.add(new Slice(member, from, Math.min(member.count(), from + part), start));
                start = Math.addExact(start, part);
            }
            ranks.add(slices);
        }
        return new FlatParts(
                members,
                members.stream()
                        .mapToLong(m -> Math.ceilDiv(m.count(), dp))
                        .reduce(0, Math::addExact),
                ranks);
    }

    /// Elements of a rank's part that are no padding; of stages 1 and 2.
    long real(int rank) {
        List<Slice> slices = ranks.get(rank);
        return slices.isEmpty()
                ? 0
                : slices.getLast().start() + slices.getLast().to() - slices.getLast().from();
    }

    /// What fills a rank's flat tensor of a state.
    List<Part> parts(int rank, String state, DType dtype) {
        List<Part> parts = new ArrayList<>();
        for (Slice slice : ranks.get(rank)) {
            slice.member()
                    .part(
                            state,
                            dtype,
                            slice.from(),
                            slice.to(),
                            Math.multiplyExact(slice.start(), dtype.width()))
                    .ifPresent(parts::add);
        }
        return parts;
    }

    /// ZeRO-3's sub-groups: members are taken until their parts reach `size` elements.
    ///
    /// Source: DeepSpeed `runtime/zero/stage3.py` (`_create_fp16_sub_groups`).
    static List<List<Held>> subGroups(List<Held> members, int dp, long size) {
        List<List<Held>> groups = new ArrayList<>();
        List<Held> group = new ArrayList<>();
        long held = 0;
        for (Held member : members) {
            group.add(member);
            held = Math.addExact(held, Math.ceilDiv(member.count(), dp));
            if (held >= size) {
                groups.add(List.copyOf(group));
                group.clear();
                held = 0;
            }
        }
        if (!group.isEmpty()) {
            groups.add(List.copyOf(group));
        }
        return groups;
    }
}
