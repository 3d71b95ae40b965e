package io.ucp.formats.deepspeed;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.io.Parallel;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/// The files of a tag folder by what they hold, each read as far as its pickle.
///
/// @param models by rank; `dp` is 0 where a file is for all data-parallel ranks
/// @param perRank the model states are one file per data-parallel rank (ZeRO-3)
/// @param folders within the tag folder, and what else is no file: nothing of it is read
record CheckpointFiles(
        Path folder,
        boolean perRank,
        Map<Rank, ModelStates> models,
        Map<Rank, OptimizerStates> optimizers,
        List<CheckpointFile> layers,
        List<CheckpointFile> experts,
        List<CheckpointFile> expertOptimizers,
        List<Path> others,
        List<Path> folders) {

    /// By model-parallel rank, then by data-parallel rank.
    record Rank(int mp, int dp) implements Comparable<Rank> {
        @Override
        public int compareTo(Rank o) {
            return Comparator.comparingInt(Rank::mp).thenComparingInt(Rank::dp).compare(this, o);
        }
    }

    static CheckpointFiles read(Path folder) throws IOException {
        List<Path> named = new ArrayList<>();
        List<Path> others = new ArrayList<>();
        if (!Files.isDirectory(folder)) {
            throw new NoSuchFileException(
                    folder.toString(), null, "no such folder; expected a tag folder of DeepSpeed");
        }
        List<Path> folders = new ArrayList<>();
        try (Stream<Path> entries = Files.list(folder)) {
            for (Path path : entries.sorted().toList()) {
                if (!Files.isRegularFile(path)) {
                    folders.add(path);
                    continue;
                }
                boolean side = FileName.of(TagFolder.nameOf(path)) instanceof FileName.Side;
                (side ? others : named).add(path);
            }
        }
        CheckpointFiles files =
                new CheckpointFiles(
                        folder,
                        named.stream().anyMatch(CheckpointFiles::isModelOfRank),
                        new TreeMap<>(),
                        new TreeMap<>(),
                        new ArrayList<>(),
                        new ArrayList<>(),
                        new ArrayList<>(),
                        others,
                        folders);
        for (CheckpointFile file : Parallel.map(named, CheckpointFile::open)) {
            files.add(file);
        }
        if (files.models.isEmpty()) {
            throw new IncompleteCheckpointException(
                    folder.toString(),
                    "no `mp_rank_00_model_states.pt`",
                    "the model states of every model-parallel rank",
                    "copy the missing files from where the checkpoint was written");
        }
        return files;
    }

    private static boolean isModelOfRank(Path path) {
        return FileName.of(TagFolder.nameOf(path)) instanceof FileName.ModelOfRank;
    }

    private void add(CheckpointFile file) throws IOException {
        switch (file.name()) {
            case FileName.Model(int mp) -> addModel(new Rank(mp, 0), file);
            case FileName.ModelOfRank(int dp, int mp) -> addModel(new Rank(mp, dp), file);
            case FileName.Optimizer(int dp, int mp) -> addOptimizer(new Rank(mp, dp), file);
            case FileName.Layer _ -> layers.add(file);
            case FileName.Expert _ -> experts.add(file);
            case FileName.ExpertOptimizer _ -> expertOptimizers.add(file);
            case FileName.Side _ -> others.add(file.path());
        }
    }

    private void addModel(Rank rank, CheckpointFile file) throws IOException {
        ModelStates before = models.put(rank, ModelStates.of(file));
        if (before != null || perRank != (file.name() instanceof FileName.ModelOfRank)) {
            throw twoJobs(file, before == null ? "files named per rank" : before.file().label());
        }
    }

    private void addOptimizer(Rank rank, CheckpointFile file) throws IOException {
        OptimizerStates before = optimizers.put(rank, OptimizerStates.of(file));
        if (before != null) {
            throw twoJobs(file, before.file().label());
        }
    }

    private static IncompleteCheckpointException twoJobs(CheckpointFile file, String other) {
        return new IncompleteCheckpointException(
                file.path().toString(),
                "it lies beside " + other + ", which is for the same ranks",
                "the files of one job",
                "the folder was saved into twice; keep the files of the later save in a folder of"
                        + " their own");
    }

    /// The model states of a model-parallel rank, of its first data-parallel rank.
    ModelStates model(int mp) throws IncompleteCheckpointException {
        ModelStates found = models.get(new Rank(mp, 0));
        if (found == null) {
            String name =
                    perRank
                            ? "zero_pp_rank_0_mp_rank_%02d_model_states.pt".formatted(mp)
                            : "mp_rank_%02d_model_states.pt".formatted(mp);
            throw missing(name);
        }
        return found;
    }

    OptimizerStates optimizer(int mp, int dp) throws IncompleteCheckpointException {
        OptimizerStates found = optimizers.get(new Rank(mp, dp));
        if (found == null) {
            throw missing(optimizerName(mp, dp));
        }
        return found;
    }

    /// With the prefix that the files beside it have.
    private String optimizerName(int mp, int dp) {
        String prefix =
                optimizers.values().stream()
                        .map(o -> o.file().label())
                        .map(name -> name.substring(0, name.indexOf("zero_pp_rank")))
                        .findFirst()
                        .orElse("");
        return "%szero_pp_rank_%d_mp_rank_%02d_optim_states.pt".formatted(prefix, dp, mp);
    }

    IncompleteCheckpointException missing(String name) {
        return new IncompleteCheckpointException(
                folder.resolve(name).toString(),
                "the file is not there",
                "the file of every rank of the job that wrote the checkpoint",
                "copy it from where the checkpoint was written: each node saves its own ranks'"
                        + " files; with what `ucp protect` wrote, --parity reads through the loss");
    }
}
