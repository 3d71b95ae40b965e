package io.ucp.convert;

import io.ucp.formats.Coordinate;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.TargetJob;
import io.ucp.tensor.DType;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// What the fullest GPU of a job holds all the time, in bytes. Activations, temporary buffers and
/// what a framework needs for itself are not counted.
///
/// ZeRO 1 cuts the optimizer's states over the data-parallel ranks, 2 the gradients too, 3 the
/// weights too. Source: the ZeRO paper (arXiv 1910.02054), section 3.
///
/// @param weights in the dtype of the model
/// @param gradients in that dtype too
/// @param optimizer the fp32 master and the optimizer's states
public record GpuMemory(long weights, long gradients, long optimizer) {
    public long total() {
        return weights + gradients + optimizer;
    }

    static GpuMemory of(TargetJob job, List<ParameterFacts> parameters) {
        Map<Coordinate, double[]> held = new HashMap<>();
        int ep = job.degree("ep");
        for (ParameterFacts p : parameters) {
            for (RankShard shard : job.shards().getOrDefault(p.name(), List.of())) {
                boolean expert = shard.at().indices().containsKey("ep");
                // Which may be more than dp / ep: experts may divide tensor-parallel ranks too.
                int copies = expert ? job.degree("edp") : job.degree("dp");
                if (expert) {
                    add(held, shard.at(), p, shard, job.stage(), copies);
                    continue;
                }
                for (int e = 0; e < ep; e++) {
                    add(held, shard.at().with("ep", e), p, shard, job.stage(), copies);
                }
            }
        }
        double[] fullest = new double[3];
        for (double[] rank : held.values()) {
            if (rank[0] + rank[1] + rank[2] > fullest[0] + fullest[1] + fullest[2]) {
                fullest = rank;
            }
        }
        return new GpuMemory(
                (long) Math.ceil(fullest[0]),
                (long) Math.ceil(fullest[1]),
                (long) Math.ceil(fullest[2]));
    }

    private static void add(
            Map<Coordinate, double[]> held,
            Coordinate at,
            ParameterFacts p,
            RankShard shard,
            int stage,
            int copies) {
        double elements = shard.shape().count();
        double[] rank = held.computeIfAbsent(at, _ -> new double[3]);
        int width = weightWidth(p);
        rank[0] += elements * width / (stage == 3 && p.trainable() ? copies : 1);
        if (p.trainable() && !p.buffer()) {
            rank[1] += elements * width / (stage >= 2 ? copies : 1);
            rank[2] += elements * stateWidth(p) / (stage >= 1 ? copies : 1);
        }
    }

    /// Universal forms may hold the master alone: then the model has half of its width.
    private static int weightWidth(ParameterFacts p) {
        DType weight = p.states().get("weight");
        return weight == null ? 2 : weight.width();
    }

    private static int stateWidth(ParameterFacts p) {
        return p.states().entrySet().stream()
                .filter(s -> !s.getKey().equals("weight"))
                .mapToInt(s -> s.getValue().width())
                .sum();
    }
}
