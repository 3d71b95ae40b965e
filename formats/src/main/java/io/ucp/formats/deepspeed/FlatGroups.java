package io.ucp.formats.deepspeed;

import io.ucp.formats.Coordinate;
import io.ucp.formats.Finding;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.FlatGroup.Member;
import io.ucp.formats.FlatGroup.Part;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TensorEntry;
import io.ucp.tensor.Shape;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/// Optimizer states as flat groups.
///
/// @param groups of every model-parallel rank
/// @param ep expert-parallel ranks, 0 where there are no experts
/// @param edp data-parallel ranks among the holders of the same experts
record FlatGroups(List<FlatGroup> groups, int ep, int edp) {

    static FlatGroups read(CheckpointFiles files, Degrees degrees, List<Finding> findings)
            throws IOException {
        if (files.optimizers().isEmpty()) {
            return new FlatGroups(List.of(), 0, 0);
        }
        Collector collector = new Collector(files, degrees, findings);
        for (int mp = 0; mp < degrees.mp(); mp++) {
            try {
                collector.ofModelRank(mp);
            } catch (ArithmeticException _) {
                throw files.model(mp)
                        .file()
                        .malformed(
                                "`param_shapes` of more elements than 64 bits count",
                                "the shapes of a model");
            }
        }
        return new FlatGroups(collector.groups, collector.ep, collector.edp);
    }

    private static final class Collector {
        private final CheckpointFiles files;
        private final Degrees degrees;
        private final List<Finding> findings;
        private final List<FlatGroup> groups = new ArrayList<>();
        private int ep;
        private int edp;

        Collector(CheckpointFiles files, Degrees degrees, List<Finding> findings) {
            this.files = files;
            this.degrees = degrees;
            this.findings = findings;
        }

        void ofModelRank(int mp) throws IOException {
            ModelStates model = files.model(mp);
            List<Map<String, Shape>> shapes =
                    model.groups()
                            .orElseThrow(
                                    () ->
                                            model.file()
                                                    .malformed(
                                                            "no `param_shapes`",
                                                            "the names and shapes of the parameters"
                                                                    + " in the optimizer's files"));
            checkRanksAgree(mp, model);
            OptimizerStates first = files.optimizer(mp, 0);
            boolean each = first.stage() == 3;
            List<List<Member>> members =
                    each
                            ? SubGroups.members(model.file(), shapes, first, degrees.dp())
                            : shapes.stream().map(Collector::members).toList();
            for (int dp = 0; dp < degrees.dp(); dp++) {
                OptimizerStates other = files.optimizer(mp, dp);
                if (other.groups().size() != members.size()) {
                    throw other.file()
                            .malformed(
                                    "%d optimizer groups".formatted(other.groups().size()),
                                    "%d, as in `param_shapes` of %s"
                                            .formatted(members.size(), model.file().label()));
                }
                sameCounts(first, other);
            }
            for (int g = 0; g < members.size(); g++) {
                for (Holders holders : holders(mp, g, first.groups().get(g))) {
                    FlatGroupBuilder builder =
                            new FlatGroupBuilder(
                                    holders, model.file(), g, each, members.get(g), findings);
                    groups.add(builder.build());
                }
            }
        }

        /// Tensor-parallel ranks of a stage have the same parameters, data-parallel ranks the same
        /// shapes too.
        private void checkRanksAgree(int mp, ModelStates model) throws IOException {
            ModelStates of = files.model(mp - mp % degrees.tp());
            if (!names(of).equals(names(model))) {
                throw disagree(model, of, "other parameters");
            }
            for (int dp = 1; files.perRank() && dp < degrees.dp(); dp++) {
                ModelStates rank = files.models().get(new CheckpointFiles.Rank(mp, dp));
                if (rank != null && !rank.groups().equals(model.groups())) {
                    throw disagree(rank, model, "other shapes");
                }
            }
        }

        private static List<Set<String>> names(ModelStates model) {
            return model.groups().orElse(List.of()).stream().map(Map::keySet).toList();
        }

        private static IncompleteCheckpointException disagree(
                ModelStates model, ModelStates other, String what) {
            return new IncompleteCheckpointException(
                    model.file().path().toString(),
                    "`param_shapes` lists %s than in %s".formatted(what, other.file().label()),
                    "the same on every rank",
                    "a rank's file is of another job; copy the files of one save");
        }

        private static void sameCounts(OptimizerStates first, OptimizerStates other)
                throws IOException {
            for (int g = 0; g < first.groups().size(); g++) {
                OptimizerStates.Group a = first.groups().get(g);
                OptimizerStates.Group b = other.groups().get(g);
                if (!a.partitions().equals(b.partitions()) || a.expert() != b.expert()) {
                    throw new IncompleteCheckpointException(
                            other.file().path().toString(),
                            "group %d is cut over %s ranks, and over %s in %s"
                                    .formatted(
                                            g,
                                            text(b.partitions()),
                                            text(a.partitions()),
                                            first.file().label()),
                            "the same on every rank",
                            "a rank's file is of another job; copy the files of one save");
                }
            }
        }

        private static String text(OptionalInt number) {
            return number.isPresent() ? Integer.toString(number.getAsInt()) : "unknown";
        }

        private static List<Member> members(Map<String, Shape> shapes) {
            return shapes.entrySet().stream().map(e -> new Member(e.getKey(), e.getValue())).toList();
        }

        /// Who holds a group: all data-parallel ranks, or for experts those of each expert rank.
        private List<Holders> holders(int mp, int number, OptimizerStates.Group group)
                throws IOException {
            int dp = degrees.dp();
            int count = group.partitions().orElse(dp);
            Coordinate at = degrees.at(mp);
            if (!group.expert()) {
                if (count != dp) {
                    throw files.optimizer(mp, 0)
                            .file()
                            .malformed(
                                    "group %d is cut over %d ranks".formatted(number, count),
                                    "%d, the data-parallel ranks".formatted(dp));
                }
                return List.of(holders(mp, number, at, "dp", range(0, 1, dp)));
            }
            int ranks = group.expertRanks().orElse(count == 0 ? 0 : dp / count);
            if (ranks == 0 || count == 0 || Math.multiplyExact(ranks, count) != dp) {
                throw new RefusedException(
                        files.optimizer(mp, 0).file().label(),
                        "experts of group %d over %d expert-parallel ranks of %d parts each"
                                .formatted(number, ranks, count),
                        "%d data-parallel ranks, the experts not cut over tensor-parallel ranks"
                                .formatted(dp),
                        "");
            }
            if (ep != 0 && ep != ranks) {
                throw new RefusedException(
                        files.optimizer(mp, 0).file().label(),
                        "experts over %d and others over %d expert-parallel ranks"
                                .formatted(ep, ranks),
                        "one expert-parallel degree",
                        "");
            }
            ep = ranks;
            edp = count;
            boolean blocks = dataBeforeExperts(mp) || secondInBlock(mp, number, ranks, count);
            List<Holders> all = new ArrayList<>();
            for (int e = 0; e < ranks; e++) {
                int[] of = blocks ? range(e * count, 1, count) : range(e, ranks, count);
                all.add(holders(mp, number, at.with("ep", e), "edp", of));
            }
            return all;
        }

        /// Whether data-parallel rank 1 says that it holds the second part.
        private boolean secondInBlock(int mp, int number, int ranks, int count)
                throws IOException {
            return ranks > 1
                    && count > 1
                    && files.optimizer(mp, 1).groups().get(number).partitionRank().orElse(0) == 1;
        }

        private boolean dataBeforeExperts(int mp) throws IOException {
            return files.model(mp)
                    .file()
                    .root()
                    .find("ds_config", "use_data_before_expert_parallelism")
                    .flatMap(v -> v.asBool())
                    .orElse(false);
        }

        private Holders holders(int mp, int number, Coordinate at, String axis, int[] ranks)
                throws IOException {
            List<OptimizerStates.Group> parts = new ArrayList<>();
            List<CheckpointFile> from = new ArrayList<>();
            List<Coordinate> places = new ArrayList<>();
            for (int dp : ranks) {
                OptimizerStates file = files.optimizer(mp, dp);
                parts.add(file.groups().get(number));
                from.add(file.file());
                places.add(at.with("dp", dp));
            }
            return new Holders(at, axis, places, from, parts);
        }

        private static int[] range(int from, int step, int count) {
            int[] ranks = new int[count];
            for (int i = 0; i < count; i++) {
                ranks[i] = from + i * step;
            }
            return ranks;
        }
    }

    /// The ranks that a group is cut over, in the order of its parts.
    record Holders(
            Coordinate at,
            String axis,
            List<Coordinate> places,
            List<CheckpointFile> files,
            List<OptimizerStates.Group> groups) {}

    /// Parameters without optimizer state of ZeRO-3: each cut on its own, in the model states. One
    /// group a parameter, numbered -1.
    static List<FlatGroup> frozen(CheckpointFiles files, Degrees degrees) throws IOException {
        List<FlatGroup> groups = new ArrayList<>();
        for (int mp = 0; files.perRank() && mp < degrees.mp(); mp++) {
            ModelStates first = files.model(mp);
            for (Map.Entry<String, Shape> e :
                    first.frozen().orElse(new LinkedHashMap<>()).entrySet()) {
                Member member = new Member(e.getKey(), e.getValue());
                Coordinate at = degrees.at(mp);
                List<Part> parts = new ArrayList<>();
                for (int dp = 0; dp < degrees.dp(); dp++) {
                    ModelStates rank = files.models().get(new CheckpointFiles.Rank(mp, dp));
                    if (rank != null) {
                        parts.add(frozenPart(rank, member, at.with("dp", dp), degrees.dp()));
                    }
                }
                groups.add(new FlatGroup(-1, -1, at, "dp", true, List.of(member), parts));
            }
        }
        return groups;
    }

    private static Part frozenPart(ModelStates rank, Member member, Coordinate at, int dp)
            throws IOException {
        long extent = Math.ceilDiv(member.shape().count(), dp);
        Optional<TensorEntry> held = Optional.ofNullable(rank.fragments().get(member.name()));
        if (held.isEmpty() || held.get().shape().count() != extent) {
            throw rank.file()
                    .malformed(
                            "the frozen parameter %s has %s elements here"
                                    .formatted(
                                            member.name(),
                                            held.map(t -> Long.toString(t.shape().count()))
                                                    .orElse("no")),
                            "%d, its part of %s over %d ranks"
                                    .formatted(extent, member.shape(), dp));
        }
        return new Part(at, extent, Map.of("weight", held.get()), Map.of());
    }
}
