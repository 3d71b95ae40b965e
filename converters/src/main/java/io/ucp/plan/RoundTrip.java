package io.ucp.plan;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;
import io.ucp.tensor.Piece;

import java.util.Collection;
import java.util.List;

/// The proof that a job gives back what it is given: the shards of its ranks, those that hold the
/// same taken once, hold every real element of every parameter exactly once. It is of the plan,
/// costs O(boxes), and reads nothing.
public final class RoundTrip {
    private RoundTrip() {}

    /// @param parameters of the source
    /// @throws RefusedException where elements would be lost, or held as two
    public static void prove(Collection<ParameterFacts> parameters, TargetJob job) {
        parameters.forEach(p -> prove(p, job.shards().getOrDefault(p.name(), List.of())));
    }

    private static void prove(ParameterFacts facts, List<RankShard> shards) {
        Piece real = StatePlanner.realPiece(facts);
        // Ranks that hold the same are copies.
        List<Piece> held =
                shards.stream().map(RankShard::pieces).distinct().flatMap(List::stream).toList();
        if (!StatePlanner.hold(held, real)) {
            throw new RefusedException(
                    facts.name(),
                    "the ranks of the job together hold %s not exactly once"
                            .formatted(Uncovered.first(real, held)),
                    "every element of %s on one rank, or on several that hold the same"
                            .formatted(facts.realShape()),
                    "the files of a job tell its ranks apart by pp, tp, ep and etp only: cut the"
                            + " parameter over these in the target's spec, --target-spec");
        }
    }
}
