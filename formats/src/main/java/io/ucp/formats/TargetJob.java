package io.ucp.formats;

import io.ucp.tensor.Shape;

import java.util.List;
import java.util.Map;

/// The job that is to load a rank-sharded checkpoint: its degrees, and what each of its ranks
/// holds.
///
/// @param mesh outermost first: `pp`, `dp`, `tp` (and `ep`, `edp` where there are experts)
/// @param stage ZeRO stage
/// @param shards parameter -> one shard for each model-parallel coordinate that holds some of it;
///   in the order in which the source names the parameters
/// @param padded parameter -> its whole shape in the target, padding included
/// @param patterns of `universal_checkpoint_info`, which tell the next reader how parameters are
///   cut
/// @param virtual model chunks of each pipeline stage, interleaved
public record TargetJob(
        List<AxisDegree> mesh,
        int stage,
        Map<String, List<RankShard>> shards,
        Map<String, Shape> padded,
        List<LayoutHints.Pattern> patterns,
        int virtual) {
    public TargetJob {
        mesh = List.copyOf(mesh);
        patterns = List.copyOf(patterns);
    }

    /// A pipeline of one model chunk a stage.
    public TargetJob(
            List<AxisDegree> mesh,
            int stage,
            Map<String, List<RankShard>> shards,
            Map<String, Shape> padded,
            List<LayoutHints.Pattern> patterns) {
        this(mesh, stage, shards, padded, patterns, 1);
    }

    /// The degree of `axis`, 1 where the mesh lacks it.
    public int degree(String axis) {
        return mesh.stream()
                .filter(a -> a.axis().equals(axis))
                .mapToInt(AxisDegree::degree)
                .findFirst()
                .orElse(1);
    }
}
