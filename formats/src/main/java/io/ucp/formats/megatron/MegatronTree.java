package io.ucp.formats.megatron;

import io.ucp.formats.mcore.Arguments;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.HeldShard;
import io.ucp.formats.mcore.MadeArguments;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.mcore.OptimizerSettings;
import io.ucp.formats.mcore.SourceModel;
import io.ucp.formats.mcore.TargetArguments;
import io.ucp.formats.mcore.RandomStates;
import io.ucp.formats.mcore.Roles;
import io.ucp.formats.mcore.TargetModel;
import io.ucp.formats.mcore.ModelTemplate;
import io.ucp.formats.mcore.IterationFolder;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetJob;
import io.ucp.formats.TargetTree;
import io.ucp.formats.TargetTree.SmallFile;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Collectors;

/// All files of a checkpoint of Megatron-LM, and the tracker that names its iteration.
final class MegatronTree {
    static final String RNG = "rng";

    private final WriteRequest request;
    private final SourceModel source;
    private final boolean foreign;
    private final ModelTemplate template;
    private final Grid grid;
    private final TargetModel model;
    private final Optional<OptimizerSettings> optimizer;
    private final RandomStates random;
    private final List<TargetFile> files = new ArrayList<>();
    private final List<String> losses = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();

    /// @param foreign no job of Megatron-LM wrote the state
    private MegatronTree(WriteRequest request, TargetJob job, SourceModel source, boolean foreign) {
        this.request = request;
        this.source = source;
        this.foreign = foreign;
        this.template =
                foreign
                        ? ModelTemplate.of(
                                request.parameters().stream().map(ParameterFacts::name).toList())
                        : ModelTemplate.of(source);
        boolean experts = job.mesh().stream().anyMatch(a -> a.axis().equals("ep"));
        this.grid =
                new Grid(
                        job.degree("tp"),
                        job.degree("pp"),
                        job.virtual(),
                        job.degree("cp"),
                        job.degree("dp"),
                        job.degree("ep"),
                        experts ? job.degree("etp") : job.degree("tp"),
                        experts);
        this.model = new TargetModel(request, job, grid, template);
        boolean states =
                request.parameters().stream().anyMatch(p -> p.states().containsKey("exp_avg"))
                        || request.parameters().stream().anyMatch(p -> p.optimizerGroup() >= 0);
        this.optimizer = states ? OptimizerSettings.of(source) : Optional.empty();
        if (states && optimizer.isEmpty() && !stateNames(request).isEmpty()) {
            losses.add(
                    "states of the optimizer (%s): the source has no settings of one that"
                                    .formatted(stateNames(request))
                            + " Megatron-LM would load; it begins with new ones (--no-load-optim)");
        }
        this.random = RandomStates.of(request.options().getOrDefault(RNG, "keep"));
    }

    private static String stateNames(WriteRequest request) {
        return request.parameters().stream()
                .flatMap(p -> p.states().keySet().stream())
                .filter(s -> !s.equals("weight"))
                .distinct()
                .sorted()
                .collect(Collectors.joining(", "));
    }

    /// @throws RefusedException where Megatron-LM has no form for the state
    static TargetTree of(WriteRequest request) {
        for (String option : request.options().keySet()) {
            if (!option.equals(RNG)) {
                throw new RefusedException(
                        MegatronFormat.NAME, "the option " + option, "rng", "leave it out");
            }
        }
        TargetJob job =
                request.job()
                        .orElseThrow(
                                () ->
                                        new RefusedException(
                                                request.tag(),
                                                "no job is named",
                                                "the degrees of the job that is to load it",
                                                "give --tp, --pp, --dp"));
        Optional<SourceModel> source = SourceModel.of(request);
        return new MegatronTree(
                        request,
                        job,
                        source.orElseGet(() -> MadeArguments.of(request)),
                        source.isEmpty())
                .tree();
    }

    private String folder() {
        boolean release = request.tag().equals(IterationFolder.RELEASE);
        return release || request.iteration().isEmpty()
                ? IterationFolder.RELEASE
                : IterationFolder.nameOf(request.iteration().getAsLong());
    }

    private TargetTree tree() {
        TargetArguments arguments = arguments();
        Arguments changed = new Arguments(arguments.changed(source.arguments().namespace(), 0));
        Optional<OptimizerTree> optimizers =
                optimizer.map(o -> new OptimizerTree(model, grid, o, changed));
        if (optimizer.filter(o -> o.distributed() || o.masters()).isPresent()) {
            OptimizerTree.widened(request.parameters()).ifPresent(notes::add);
        }
        Set<List<Integer>> written = new HashSet<>();
        for (int stage = 0; stage < grid.pp(); stage++) {
            for (int l = 0; l < grid.stage(); l++) {
                boolean dense = l < grid.tp();
                boolean experts = l < grid.etp() * grid.ep();
                if ((dense || (grid.expertOptimizer() && experts))
                        && written.add(List.of(stage, l % grid.tp(), grid.expertRank(l)))) {
                    write(stage, l, dense, experts, arguments, optimizers);
                }
            }
        }
        if (foreign) {
            notes.add(
                    "`args` are made of the names and numbers of the model: what these do not say,"
                            + " the command line of the job has to");
        }
        side();
        random.tell(source, grid, notes, losses);
        return new TargetTree(files, _ -> List.of(), List.of(tracker()), losses, notes);
    }

    private TargetArguments arguments() {
        Grid before = source.grid();
        boolean same =
                before.pp() == grid.pp()
                        && before.virtual() == grid.virtual()
                        && template.chunks().equals(model.layersOfChunks());
        boolean oneNode =
                source.ranks().stream()
                        .allMatch(
                                r ->
                                        r.root()
                                                .find("args", "rank")
                                                .equals(r.root().find("args", "local_rank")));
        OptionalLong rows =
                request.job()
                        .map(j -> j.padded().get(Names.EMBEDDING))
                        .map(shape -> OptionalLong.of(shape.dim(0)))
                        .orElse(OptionalLong.empty());
        return new TargetArguments(before, grid, same, model.layersOfChunks(), rows, oneNode);
    }

    private void write(
            int stage,
            int local,
            boolean dense,
            boolean experts,
            TargetArguments arguments,
            Optional<OptimizerTree> optimizers) {
        int tp = local % grid.tp();
        int ep = grid.expertRank(local);
        String path =
                "%s/%s/"
                        .formatted(
                                folder(), RankFolder.nameOf(tp, stage, ep, grid.pp(), grid.ep()));
        SourceModel.Rank donor =
                random == RandomStates.SPREAD ? source.first() : source.donor(tp, stage, ep);
        TorchBuilder torch = new TorchBuilder(donor.file().storages());
        List<List<HeldShard>> trained = model.trained(tp, stage, ep);
        RankTree rank =
                new RankTree(
                        path + RankFiles.MODEL,
                        torch,
                        donor,
                        model,
                        template,
                        grid,
                        arguments.changed(
                                donor.root().find("args").orElseThrow(),
                                stage * grid.stage() + local),
                        optimizers.map(o -> o.of(torch, trained)),
                        random.of(source, donor, grid));
        files.add(torch.file(path + RankFiles.MODEL, rank.of(tp, stage, ep)));
        if (optimizer.filter(OptimizerSettings::distributed).isPresent()) {
            TorchBuilder flat = new TorchBuilder(Map.of());
            PickleValue states =
                    optimizers.orElseThrow().buffers(flat, trained, stage, dense, experts);
            files.add(flat.file(path + RankFiles.OPTIMIZER, states));
        }
    }

    /// Files that no rank owns, as they are.
    private void side() {
        Set<String> taken = new HashSet<>();
        files.forEach(f -> taken.add(f.path()));
        for (CarriedFile file : request.carried()) {
            if (!file.role().equals(Roles.SIDE) || file.file().isEmpty()) {
                continue;
            }
            String path = folder() + "/" + file.path();
            if (!taken.add(path)) {
                losses.add(file.path() + ": the target has a file of that name");
                continue;
            }
            var bytes = file.file().get();
            files.add(
                    new TargetFile(
                            path,
                            bytes.size(),
                            bytes.size() == 0
                                    ? List.of()
                                    : List.of(
                                            new TargetFile.Part.Copied(0, bytes, 0, bytes.size())),
                            List.of(),
                            Optional.empty()));
        }
    }

    /// Written last: it is what commits the checkpoint.
    private SmallFile tracker() {
        String text =
                folder().equals(IterationFolder.RELEASE)
                        ? IterationFolder.RELEASE
                        : Long.toString(request.iteration().orElseThrow());
        return new SmallFile(IterationFolder.TRACKER, text.getBytes(StandardCharsets.UTF_8));
    }
}
