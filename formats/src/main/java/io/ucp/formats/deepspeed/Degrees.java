package io.ucp.formats.deepspeed;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.deepspeed.writing.LayerName;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.io.MalformedFileException;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.stream.Stream;

/// The degrees of the job that wrote the checkpoint, and the proof that each of its ranks' files is
/// there. Model-parallel rank `mp` is `pp * tp_degree + tp`.
record Degrees(int pp, int tp, int dp) {
    /// Of each degree.
    private static final long MOST = 1_000_000;

    int mp() {
        return pp * tp;
    }

    Coordinate at(int mp) {
        return Coordinate.of("pp", mp / tp).with("tp", mp % tp);
    }

    /// Outermost first; experts' axes divide the same ranks anew (`edp` outermost).
    List<AxisDegree> mesh(GroupHolders.Experts experts) {
        List<AxisDegree> axes = new ArrayList<>();
        axes.add(new AxisDegree("pp", pp));
        axes.add(new AxisDegree("dp", dp));
        axes.add(new AxisDegree("tp", tp));
        if (experts.ep() > 0) {
            axes.add(new AxisDegree("ep", experts.ep()));
            axes.add(new AxisDegree("edp", experts.edp()));
        }
        return List.copyOf(axes);
    }

    static Degrees of(CheckpointFiles files, List<Finding> findings) throws IOException {
        int mp = modelParallel(files);
        for (int rank = 0; rank < mp; rank++) {
            files.model(rank);
        }
        int dp = dataParallel(files, findings);
        for (int rank = 0; rank < mp; rank++) {
            for (int d = 0; d < dp; d++) {
                if (!files.optimizers().isEmpty()) {
                    files.optimizer(rank, d);
                }
                if (files.perRank()
                        && !files.models().containsKey(new CheckpointFiles.Rank(rank, d))) {
                    throw files.missing(
                            "zero_pp_rank_%d_mp_rank_%02d_model_states.pt".formatted(d, rank));
                }
            }
        }
        sameJob(files);
        int tp = tensorParallel(files, mp, findings);
        layersOf(files, tp);
        return new Degrees(mp / tp, tp, dp);
    }

    /// Model-parallel ranks: as many as the files say, which must be as many as there are.
    private static int modelParallel(CheckpointFiles files) throws IOException {
        ModelStates first = files.models().values().iterator().next();
        OptionalLong said = degree(first, "mp_world_size");
        int named =
                1
                        + Math.max(
                                most(
                                        files.models().keySet().stream()
                                                .map(CheckpointFiles.Rank::mp)),
                                most(
                                        files.optimizers().keySet().stream()
                                                .map(CheckpointFiles.Rank::mp)));
        long product =
                degree(first, "checkpoint_parallel_dimensions", "pp_degree").orElse(1)
                        * degree(first, "checkpoint_parallel_dimensions", "tp_degree").orElse(1);
        long all = Math.max(said.orElse(1), product);
        if (all > 1 && named > all) {
            throw extra(first.file(), "mp_world_size " + all, "model-parallel rank " + (named - 1));
        }
        return (int) Math.max(named, Math.min(all, MOST));
    }

    /// A number of ranks.
    private static OptionalLong degree(ModelStates model, String... path)
            throws MalformedFileException {
        OptionalLong degree = model.number(path);
        if (degree.isPresent() && (degree.getAsLong() < 1 || degree.getAsLong() > MOST)) {
            throw model.file()
                    .malformed(
                            "%s is %d".formatted(String.join(".", path), degree.getAsLong()),
                            "1 to %d ranks".formatted(MOST));
        }
        return degree;
    }

    private static int most(Stream<Integer> ranks) {
        return ranks.max(Comparator.naturalOrder()).orElse(0);
    }

    /// Data-parallel ranks: what the partition counts say, else `dp_world_size`.
    private static int dataParallel(CheckpointFiles files, List<Finding> findings)
            throws IOException {
        ModelStates model = files.models().values().iterator().next();
        OptionalLong said = degree(model, "dp_world_size");
        if (files.optimizers().isEmpty()) {
            return (int) said.orElse(1);
        }
        int named = 1 + most(files.optimizers().keySet().stream().map(CheckpointFiles.Rank::dp));
        OptimizerStates any = files.optimizers().values().iterator().next();
        OptionalInt counted =
                any.groups().stream()
                        .filter(g -> !g.expert())
                        .flatMapToInt(g -> g.partitions().stream())
                        .max();
        // The counts of experts are of other groups of ranks.
        int all = counted.orElse((int) said.orElse(named));
        if (named > all) {
            throw extra(
                    any.file(), all + " data-parallel ranks", "data-parallel rank " + (named - 1));
        }
        if (said.isPresent() && said.getAsLong() != all) {
            findings.add(
                    new Finding(
                            model.file().label(),
                            "dp_world_size is %d, but the optimizer states are cut in %d: taken as"
                                            .formatted(said.getAsLong(), all)
                                    + " cut"));
        }
        return all;
    }

    private static IncompleteCheckpointException extra(
            CheckpointFile file, String said, String found) {
        return new IncompleteCheckpointException(
                file.path().toString(),
                "it is of a job of %s, and a file of %s lies beside it".formatted(said, found),
                "the files of one job",
                "the folder was saved into by two jobs; remove the files of the other one");
    }

    /// Files of one save agree on the step and on the size of the job.
    private static void sameJob(CheckpointFiles files) throws IOException {
        ModelStates first = files.model(0);
        for (ModelStates model : files.models().values()) {
            for (String key :
                    List.of("iteration", "global_steps", "dp_world_size", "mp_world_size")) {
                if (!model.number(key).equals(first.number(key))) {
                    throw differ(
                            first.file(), model.file(), key, first.number(key), model.number(key));
                }
            }
        }
        OptimizerStates rank0 = files.optimizers().isEmpty() ? null : files.optimizer(0, 0);
        for (OptimizerStates optimizer : files.optimizers().values()) {
            if (rank0 != null && optimizer.stage() != rank0.stage()) {
                throw differ(
                        rank0.file(),
                        optimizer.file(),
                        "zero_stage",
                        rank0.stage(),
                        optimizer.stage());
            }
        }
    }

    private static IncompleteCheckpointException differ(
            CheckpointFile a, CheckpointFile b, String key, Object here, Object there) {
        return new IncompleteCheckpointException(
                b.path().toString(),
                "%s is %s, and %s in %s".formatted(key, text(there), text(here), a.label()),
                "the files of one save",
                "a rank's file is of another save; copy that save's files again");
    }

    private static String text(Object number) {
        return number instanceof OptionalLong n
                ? n.isPresent() ? Long.toString(n.getAsLong()) : "not there"
                : number.toString();
    }

    private static int tensorParallel(CheckpointFiles files, int mp, List<Finding> findings)
            throws IOException {
        ModelStates first = files.model(0);
        long pp = degree(first, "checkpoint_parallel_dimensions", "pp_degree").orElse(-1);
        long tp = degree(first, "checkpoint_parallel_dimensions", "tp_degree").orElse(-1);
        if (pp > 0 && tp > 0 && pp * tp == mp) {
            return (int) tp;
        }
        if (pp * tp > 1) {
            throw new IncompleteCheckpointException(
                    first.file().path().toString(),
                    "checkpoint_parallel_dimensions are pp %d, tp %d, and there are %d model-parallel"
                                    .formatted(pp, tp, mp)
                            + " ranks",
                    "%d ranks".formatted(pp * tp),
                    "copy the missing files, or remove those of another job");
        }
        if (mp == 1) {
            return 1;
        }
        long argsTp = argument(first, "tensor_model_parallel_size");
        long argsPp = argument(first, "pipeline_model_parallel_size");
        if (argsTp > 0 && argsTp * Math.max(argsPp, 1) == mp) {
            return (int) argsTp;
        }
        return inferred(files, mp, findings);
    }

    private static long argument(ModelStates model, String name) {
        return model.file()
                .root()
                .find("args", name)
                .map(PickleValue::asLong)
                .orElse(OptionalLong.empty())
                .orElse(-1);
    }

    /// Layer files name their tensor-parallel rank; a model without them has no pipeline.
    private static int inferred(CheckpointFiles files, int mp, List<Finding> findings)
            throws IOException {
        int tp = mp;
        if (!files.layers().isEmpty()) {
            tp = 1 + most(files.layers().stream().map(f -> ((FileName.Layer) f.name()).tp()));
            if (mp % tp != 0) {
                throw new IncompleteCheckpointException(
                        files.folder().toString(),
                        "layer files of %d tensor-parallel ranks, model states of %d ranks"
                                .formatted(tp, mp),
                        "as many model states as stages times tensor-parallel ranks",
                        "copy the missing files from where the checkpoint was written");
            }
        }
        findings.add(
                new Finding(
                        files.model(0).file().label(),
                        "the files do not say how %d model-parallel ranks divide: taken as pp %d, tp %d"
                                        .formatted(mp, mp / tp, tp)
                                + (files.layers().isEmpty()
                                        ? ", for there are no layer files"
                                        : ", from the names of the layer files")));
        return tp;
    }

    /// Every layer is there for each tensor-parallel rank.
    private static void layersOf(CheckpointFiles files, int tp) throws IOException {
        Map<Integer, List<Integer>> ranks = new TreeMap<>();
        for (CheckpointFile file : files.layers()) {
            FileName.Layer layer = (FileName.Layer) file.name();
            ranks.computeIfAbsent(layer.layer(), _ -> new ArrayList<>()).add(layer.tp());
        }
        for (Map.Entry<Integer, List<Integer>> layer : ranks.entrySet()) {
            for (int rank = 0; rank < tp; rank++) {
                if (!layer.getValue().contains(rank)) {
                    throw files.missing(LayerName.of(layer.getKey(), rank));
                }
            }
        }
    }
}
