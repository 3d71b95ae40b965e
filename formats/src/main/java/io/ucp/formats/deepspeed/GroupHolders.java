package io.ucp.formats.deepspeed;

import io.ucp.formats.Coordinate;
import io.ucp.formats.RefusedException;
import io.ucp.formats.torch.pickle.PickleValue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/// Which ranks hold the parts of an optimizer group, in the order of the parts.
///
/// A group is cut over the data-parallel ranks. One of experts is cut over those that hold the same
/// experts: rank `i` of the ranks that experts divide has the experts of expert-parallel rank `i
/// mod ep` and part `i / ep` of them, or in blocks where `use_data_before_expert_parallelism` is
/// set. Those ranks are the data-parallel ones; where experts are not cut over tensor-parallel
/// ranks too (without `enable_expert_tensor_parallelism`), all ranks of a stage, `i = dp *
/// tp_degree + tp`.
///
/// Source: DeepSpeed `utils/groups.py`, `checkpoint/autoep_universal.py`.
final class GroupHolders {
    private final CheckpointFiles files;
    private final Degrees degrees;
    private Experts experts = Experts.NONE;

    GroupHolders(CheckpointFiles files, Degrees degrees) {
        this.files = files;
        this.degrees = degrees;
    }

    /// How experts divide the ranks.
    ///
    /// @param ep expert-parallel ranks, 0 where there are no experts
    /// @param edp ranks that hold the same experts
    /// @param acrossTensor whether they divide the tensor-parallel ranks too
    record Experts(int ep, int edp, boolean acrossTensor) {
        static final Experts NONE = new Experts(0, 0, false);
    }

    /// @param at without `axis`
    /// @param places coordinates of the parts
    record Holders(
            Coordinate at,
            String axis,
            List<Coordinate> places,
            List<CheckpointFile> files,
            List<OptimizerStates.Group> groups) {}

    /// What the groups asked for so far say.
    Experts experts() {
        return experts;
    }

    /// The holders of group `number` of a model-parallel rank; several where experts are divided,
    /// none where another tensor-parallel rank was given them.
    List<Holders> of(int mp, int number, OptimizerStates.Group group) throws IOException {
        int dp = degrees.dp();
        int count = group.partitions().orElse(dp);
        boolean expert = group.expert() || (count > 0 && count < dp && dp % count == 0);
        if (expert) {
            return experts(mp, number, group, count);
        }
        if (count != dp) {
            throw files.optimizer(mp, 0)
                    .file()
                    .malformed(
                            "group %d is cut over %d ranks".formatted(number, count),
                            "%d, the data-parallel ranks".formatted(dp));
        }
        List<int[]> ranks = new ArrayList<>();
        for (int d = 0; d < dp; d++) {
            ranks.add(new int[] {mp, d});
        }
        return List.of(holders(number, degrees.at(mp), "dp", ranks));
    }

    private List<Holders> experts(int mp, int number, OptimizerStates.Group group, int count)
            throws IOException {
        int ep = group.expertRanks().orElse(count == 0 ? 0 : degrees.dp() / count);
        long divided = (long) ep * count;
        boolean across = divided != degrees.dp() && divided == (long) degrees.dp() * degrees.tp();
        if (divided == 0 || (divided != degrees.dp() && !across)) {
            throw new RefusedException(
                    files.optimizer(mp, 0).file().label(),
                    "experts of group %d over %d expert-parallel ranks of %d parts each"
                            .formatted(number, ep, count),
                    "as many as the %d data-parallel ranks of each of %d tensor-parallel ranks"
                            .formatted(degrees.dp(), degrees.tp()),
                    "");
        }
        Experts of = new Experts(ep, count, across);
        if (!experts.equals(Experts.NONE) && !experts.equals(of)) {
            throw new RefusedException(
                    files.optimizer(mp, 0).file().label(),
                    "experts over %d and others over %d expert-parallel ranks"
                            .formatted(experts.ep(), ep),
                    "one expert-parallel degree",
                    "");
        }
        experts = of;
        boolean blocks = inBlocks(mp, number, of);
        List<Holders> all = new ArrayList<>();
        if (across && mp % degrees.tp() != 0) {
            return all;
        }
        Coordinate at = across ? degrees.at(mp).without("tp") : degrees.at(mp);
        for (int e = 0; e < ep; e++) {
            List<int[]> ranks = new ArrayList<>();
            for (int part = 0; part < count; part++) {
                int rank = blocks ? e * count + part : e + part * ep;
                ranks.add(
                        across
                                ? new int[] {mp + rank % degrees.tp(), rank / degrees.tp()}
                                : new int[] {mp, rank});
            }
            all.add(holders(number, at.with("ep", e), "edp", ranks));
        }
        return all;
    }

    /// As the configuration says; ZeRO-3 says itself which part each rank holds.
    private boolean inBlocks(int mp, int number, Experts of) throws IOException {
        boolean said =
                files.model(mp)
                        .file()
                        .root()
                        .find("ds_config", "use_data_before_expert_parallelism")
                        .flatMap(PickleValue::asBool)
                        .orElse(false);
        boolean second =
                of.ep() > 1
                        && of.edp() > 1
                        && degrees.dp() > 1
                        && files.optimizer(mp, 1).groups().get(number).partitionRank().orElse(0)
                                == 1;
        return said || second;
    }

    /// @param ranks model-parallel and data-parallel rank of each part
    private Holders holders(int number, Coordinate at, String axis, List<int[]> ranks)
            throws IOException {
        List<OptimizerStates.Group> parts = new ArrayList<>();
        List<CheckpointFile> from = new ArrayList<>();
        List<Coordinate> places = new ArrayList<>();
        for (int[] rank : ranks) {
            OptimizerStates file = files.optimizer(rank[0], rank[1]);
            parts.add(file.groups().get(number));
            from.add(file.file());
            int tp = degrees.at(rank[0]).on("tp");
            places.add(at.with("tp", tp).with("dp", rank[1]));
        }
        return new Holders(at, axis, places, from, parts);
    }
}
