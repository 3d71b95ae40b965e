package io.ucp.formats.deepspeed;

import io.ucp.formats.Coordinate;
import io.ucp.formats.Finding;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.FlatGroup.Member;
import io.ucp.formats.FlatGroup.Part;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.deepspeed.GroupHolders.Holders;
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
/// @param experts how experts divide the ranks
record FlatGroups(List<FlatGroup> groups, GroupHolders.Experts experts) {

    static FlatGroups read(CheckpointFiles files, Degrees degrees, List<Finding> findings)
            throws IOException {
        if (files.optimizers().isEmpty()) {
            return new FlatGroups(List.of(), GroupHolders.Experts.NONE);
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
        return new FlatGroups(collector.groups, collector.holders.experts());
    }

    private static final class Collector {
        private final CheckpointFiles files;
        private final Degrees degrees;
        private final List<Finding> findings;
        private final GroupHolders holders;
        private final List<FlatGroup> groups = new ArrayList<>();

        Collector(CheckpointFiles files, Degrees degrees, List<Finding> findings) {
            this.files = files;
            this.degrees = degrees;
            this.findings = findings;
            this.holders = new GroupHolders(files, degrees);
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
                for (Holders held : holders.of(mp, g, first.groups().get(g))) {
                    FlatGroupBuilder builder =
                            new FlatGroupBuilder(
                                    held, model.file(), g, each, members.get(g), findings);
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
            return shapes.entrySet().stream()
                    .map(e -> new Member(e.getKey(), e.getValue()))
                    .toList();
        }
    }

    /// Parameters without optimizer state of ZeRO-3: each cut on its own, in the model states. One
    /// group a parameter, numbered -1.
    static List<FlatGroup> frozen(CheckpointFiles files, Degrees degrees) throws IOException {
        List<FlatGroup> groups = new ArrayList<>();
        for (int mp = 0; files.perRank() && mp < degrees.mp(); mp++) {
            ModelStates first = files.model(mp);
            for (Map.Entry<CheckpointFiles.Rank, ModelStates> rank : files.models().entrySet()) {
                if (rank.getKey().mp() == mp) {
                    sameFrozen(first, rank.getValue());
                }
            }
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

    private static void sameFrozen(ModelStates first, ModelStates other)
            throws IncompleteCheckpointException {
        if (!first.frozen().equals(other.frozen())) {
            throw new IncompleteCheckpointException(
                    other.file().path().toString(),
                    "it lists other frozen parameters than " + first.file().label(),
                    "the same on every data-parallel rank",
                    "a rank's file is of another job; copy the files of one save");
        }
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
