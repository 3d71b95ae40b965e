package io.ucp.formats.mcore;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.OptionalLong;

/// How a distributed optimizer lays the parameters of one model chunk and one dtype end to end: in
/// the reverse of their order in the model, each beginning at a multiple of 64 elements, cut into
/// buckets. In a file the padding behind each bucket is left out, the gaps inside it are not.
///
/// A bucket ends behind the first parameter that brings it to its size. The embeddings that two
/// stages share have a bucket of their own; one that they cut short ends where they would have
/// begun.
///
/// Source: Megatron-LM `core/optimizer/distrib_optimizer.py` (`_compute_per_buffer_param_layout`,
/// `get_parameter_state_dp_zero`), `core/optimizer/param_layout.py`.
///
/// @param starts of each member in the file, in elements, in the order of the members
/// @param count elements of the file's tensors, `numel_unpadded`
public record GradientBuffer(List<Long> starts, long count) {
    public static final long ALIGNMENT = 64;

    public GradientBuffer {
        starts = List.copyOf(starts);
    }

    /// @param count elements
    /// @param alone whether its bucket holds nothing else
    public record Member(long count, boolean alone) {}

    /// @param members in the order of the model
    /// @param bucketSize elements that a bucket is closed at; absent for one bucket
    /// @param alignment elements
    public static GradientBuffer of(List<Member> members, OptionalLong bucketSize, long alignment) {
        List<Long> starts = new ArrayList<>();
        long closed = 0; // elements of the buckets before
        long at = 0; // in the bucket
        boolean empty = true;
        for (Member member : members.reversed()) {
            long start = Math.ceilDiv(at, alignment) * alignment;
            if (member.alone && !empty) {
                closed = Math.addExact(closed, start);
                start = 0;
            }
            starts.add(Math.addExact(closed, start));
            long end = Math.addExact(start, member.count);
            boolean full = bucketSize.isPresent() && end >= bucketSize.getAsLong();
            empty = full || member.alone;
            if (empty) {
                closed = Math.addExact(closed, end);
            }
            at = empty ? 0 : end;
        }
        Collections.reverse(starts);
        return new GradientBuffer(starts, Math.addExact(closed, at));
    }

    /// Elements that a bucket is closed at; absent for one bucket.
    ///
    /// Source: Megatron-LM `training/training.py` (`resolve_ddp_bucket_size`, `get_model`).
    ///
    /// @param elements of all trained parameters of the rank
    public static OptionalLong bucketSize(
            Arguments args, Grid grid, int chunk, int stage, long elements) {
        boolean one =
                !args.is("overlap_grad_reduce")
                        || chunk > 0
                        || stage > 0
                        || args.is("overlap_param_gather_with_optimizer_step");
        if (one) {
            return OptionalLong.empty();
        }
        OptionalLong buckets = args.number("ddp_num_buckets");
        if (buckets.isPresent() && buckets.getAsLong() > 0) {
            return OptionalLong.of(elements / buckets.getAsLong());
        }
        OptionalLong size = args.number("ddp_bucket_size");
        long ranks = (long) grid.dp() * grid.cp();
        return OptionalLong.of(size.orElse(Math.max(40_000_000L, 1_000_000L * ranks)));
    }
}
