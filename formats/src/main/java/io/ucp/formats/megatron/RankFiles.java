package io.ucp.formats.megatron;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.mcore.Arguments;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.Roles;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.io.MalformedFileException;
import io.ucp.io.Parallel;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/// The files of an iteration by the ranks that wrote them, each read as far as its pickle, and
/// proven to be of one job and one save.
///
/// @param order of the rows of fused queries, keys and values
/// @param others files that no rank owns
record RankFiles(
        Path folder,
        Arguments arguments,
        RowOrder order,
        Grid grid,
        List<Rank> ranks,
        List<Path> others) {
    static final String MODEL = Roles.MODEL_FILE;
    static final String OPTIMIZER = "distrib_optim.pt";

    private static final Set<String> OF_ONE_JOB =
            Set.of(
                    "tensor_model_parallel_size",
                    "pipeline_model_parallel_size",
                    "virtual_pipeline_model_parallel_size",
                    "expert_model_parallel_size",
                    "expert_tensor_parallel_size",
                    "context_parallel_size",
                    "world_size",
                    "num_layers",
                    "hidden_size",
                    "padded_vocab_size");

    RankFiles {
        ranks = List.copyOf(ranks);
        others = List.copyOf(others);
    }

    /// What one rank's folder holds.
    ///
    /// @param optimizer `distrib_optim.pt`, where the folder has it
    record Rank(
            String folder, int tp, int pp, int ep, RankFile model, Optional<RankFile> optimizer) {}

    private record Opened(RankFolder folder, RankFile model, Optional<RankFile> optimizer) {}

    static RankFiles read(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            throw new NoSuchFileException(
                    folder.toString(), null, "no such folder; expected one of an iteration");
        }
        List<RankFolder> named = new ArrayList<>();
        List<Path> others = new ArrayList<>();
        try (Stream<Path> entries = Files.list(folder)) {
            for (Path path : entries.sorted().toList()) {
                Optional<RankFolder> rank =
                        Files.isDirectory(path) ? RankFolder.of(path) : Optional.empty();
                if (rank.isPresent()) {
                    named.add(rank.get());
                    others.addAll(side(path));
                } else {
                    others.addAll(below(path));
                }
            }
        }
        List<Opened> opened = Parallel.map(named, RankFiles::open);
        if (opened.isEmpty()) {
            throw missing(folder.resolve("mp_rank_00").resolve(MODEL));
        }
        Opened first = opened.getFirst();
        for (Opened other : opened) {
            sameJob(first.model, other.model);
        }
        RowOrder order = RowOrder.of(first.model);
        Arguments arguments = arguments(first.model, order, opened.size());
        Grid grid = Grid.of(arguments, first.model.path());
        List<Rank> ranks = new ArrayList<>();
        for (Opened o : opened) {
            ranks.add(rank(o, grid));
        }
        RankFiles files = new RankFiles(folder, arguments, order, grid, ranks, others);
        files.requireAll();
        return files;
    }

    private static List<Path> side(Path folder) throws IOException {
        List<Path> own = List.of(folder.resolve(MODEL), folder.resolve(OPTIMIZER));
        return below(folder).stream().filter(p -> !own.contains(p)).toList();
    }

    /// Files however deep; the path itself where it is one.
    private static List<Path> below(Path path) throws IOException {
        try (Stream<Path> entries = Files.walk(path)) {
            return entries.filter(Files::isRegularFile).sorted().toList();
        }
    }

    private static Opened open(RankFolder folder) throws IOException {
        Path model = folder.path().resolve(MODEL);
        if (!Files.isRegularFile(model)) {
            throw missing(model);
        }
        Path optimizer = folder.path().resolve(OPTIMIZER);
        return new Opened(
                folder,
                RankFile.open(model),
                Files.isRegularFile(optimizer)
                        ? Optional.of(RankFile.open(optimizer))
                        : Optional.empty());
    }

    private static void sameJob(RankFile first, RankFile other)
            throws IncompleteCheckpointException {
        for (String name : OF_ONE_JOB.stream().sorted().toList()) {
            same(
                    first,
                    other,
                    "args." + name,
                    text(first, "args", name),
                    text(other, "args", name));
        }
        same(first, other, "iteration", text(first, "iteration"), text(other, "iteration"));
        same(
                first,
                other,
                "checkpoint_version",
                text(first, "checkpoint_version"),
                text(other, "checkpoint_version"));
    }

    /// The first releases cut a model over tensor-parallel ranks alone, each with a folder.
    private static Arguments arguments(RankFile file, RowOrder order, int folders)
            throws MalformedFileException {
        Optional<PickleValue> held = file.root().find("args").filter(v -> v.asDict().isPresent());
        if (held.isEmpty() && !order.isOld()) {
            throw withoutArguments(file);
        }
        return new Arguments(
                held.orElseGet(() -> PyDict.of(Map.of("model_parallel_size", PyInt.of(folders)))));
    }

    private static String text(RankFile file, String... path) {
        return file.root().find(path).map(Object::toString).orElse("absent");
    }

    private static void same(
            RankFile first, RankFile other, String what, String expected, String found)
            throws IncompleteCheckpointException {
        if (!found.equals(expected)) {
            throw new IncompleteCheckpointException(
                    other.path().toString(),
                    "`%s` is %s".formatted(what, found),
                    "%s, as in %s".formatted(expected, first.label()),
                    "the folder mixes two saves; copy the files of one save again");
        }
    }

    private static Rank rank(Opened o, Grid grid) throws IncompleteCheckpointException {
        List<Integer> numbers = o.folder.numbers();
        int parts = 1 + (grid.pp() > 1 ? 1 : 0) + (grid.ep() > 1 ? 1 : 0);
        int pp = grid.pp() > 1 && numbers.size() > 1 ? numbers.get(1) : 0;
        int ep = grid.ep() > 1 ? numbers.getLast() : 0;
        boolean named =
                numbers.size() == parts
                        && numbers.getFirst() < grid.tp()
                        && pp < grid.pp()
                        && ep < grid.ep();
        if (!named) {
            throw new IncompleteCheckpointException(
                    o.folder.path().toString(),
                    "a folder of a rank that a job of %s does not have".formatted(grid),
                    "folders like "
                            + RankFolder.nameOf(
                                    grid.tp() - 1,
                                    grid.pp() - 1,
                                    grid.ep() - 1,
                                    grid.pp(),
                                    grid.ep()),
                    "the folder mixes two saves; keep the folders of one");
        }
        return new Rank(o.folder.name(), numbers.getFirst(), pp, ep, o.model, o.optimizer);
    }

    private static MalformedFileException withoutArguments(RankFile file) {
        return file.malformed(
                "no `args`",
                "the arguments of the job, as Megatron-LM saves them",
                "they say which ranks there are and how they share the model; a file that was"
                        + " edited can be read with --from torch");
    }

    /// Every tensor-parallel rank of every stage, and every rank of the experts, is in some folder.
    private void requireAll() throws IncompleteCheckpointException {
        Set<List<Integer>> dense = new HashSet<>();
        Set<List<Integer>> experts = new HashSet<>();
        for (Rank r : ranks) {
            dense.add(List.of(r.pp, r.tp));
            experts.add(List.of(r.pp, r.ep, grid.etp(r.tp)));
        }
        for (int pp = 0; pp < grid.pp(); pp++) {
            for (int tp = 0; tp < grid.tp(); tp++) {
                if (!dense.contains(List.of(pp, tp))) {
                    throw missing(of(tp, pp, grid.firstExpertRank(tp)));
                }
            }
            for (int ep = 0; grid.experts() && ep < grid.ep(); ep++) {
                for (int etp = 0; etp < grid.etp(); etp++) {
                    if (!experts.contains(List.of(pp, ep, etp))) {
                        throw missing(of(grid.firstTensorRank(ep, etp), pp, ep));
                    }
                }
            }
        }
    }

    private Path of(int tp, int pp, int ep) {
        return folder.resolve(RankFolder.nameOf(tp, pp, ep, grid.pp(), grid.ep())).resolve(MODEL);
    }

    static IncompleteCheckpointException missing(Path file) {
        return new IncompleteCheckpointException(
                file.toString(),
                "the file is not there",
                "the file of every rank of the job that wrote the checkpoint",
                "copy it from where the checkpoint was written: each node saves its own ranks'"
                        + " files; with what `ucp protect` wrote, --parity reads through the loss");
    }
}
