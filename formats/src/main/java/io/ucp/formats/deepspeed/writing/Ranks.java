package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.Coordinate;
import io.ucp.formats.TargetJob;

/// The ranks of a job. Model-parallel rank `mp` is `pp * tp_degree + tp`; among all ranks,
/// data-parallel ones lie between pipeline stages and tensor-parallel ones.
///
/// Source: DeepSpeed `runtime/pipe/topology.py` (`PipeModelDataParallelTopology`).
record Ranks(int pp, int dp, int tp) {
    static Ranks of(TargetJob job) {
        return new Ranks(job.degree("pp"), job.degree("dp"), job.degree("tp"));
    }

    int mp() {
        return Math.multiplyExact(pp, tp);
    }

    int world() {
        return Math.multiplyExact(mp(), dp);
    }

    Coordinate at(int mp) {
        return Coordinate.of("pp", mp / tp).with("tp", mp % tp);
    }

    /// Among all ranks of the job.
    int global(int mp, int dpRank) {
        return (mp / tp * dp + dpRank) * tp + mp % tp;
    }

    @Override
    public String toString() {
        return "tp %d, pp %d, dp %d".formatted(tp, pp, dp);
    }
}
