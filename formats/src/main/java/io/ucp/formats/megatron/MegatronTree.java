package io.ucp.formats.megatron;

import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetJob;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.mcore.Arguments;
import io.ucp.formats.mcore.FilesBeside;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.HeldShard;
import io.ucp.formats.mcore.IterationFolder;
import io.ucp.formats.mcore.MadeArguments;
import io.ucp.formats.mcore.ModelTemplate;
import io.ucp.formats.mcore.OptimizerSettings;
import io.ucp.formats.mcore.RandomStates;
import io.ucp.formats.mcore.Roles;
import io.ucp.formats.mcore.SourceModel;
import io.ucp.formats.mcore.TargetArguments;
import io.ucp.formats.mcore.TargetModel;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.pickle.PickleValue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// All files of a checkpoint of Megatron-LM, and the tracker that names its iteration.
final class MegatronTree {
    static final String RNG = "rng";

    private final WriteRequest asked;
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
    private MegatronTree(WriteRequest asked, TargetJob job, SourceModel source, boolean foreign) {
        this.asked = asked;
        this.request = foreign ? MadeArguments.dated(asked) : asked;
        this.source = source;
        this.foreign = foreign;
        this.template = ModelTemplate.of(request, source, foreign);
        this.grid = Grid.of(job);
        this.model = new TargetModel(request, job, grid, template);
        this.optimizer = OptimizerSettings.of(request, source, foreign, false, losses);
        this.random = RandomStates.of(request.options().getOrDefault(RNG, "keep"));
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
                        source.orElseGet(
                                () -> MadeArguments.of(MadeArguments.dated(request), false)),
                        source.isEmpty())
                .tree();
    }

    private TargetTree tree() {
        TargetArguments arguments =
                TargetArguments.of(
                        source, template.chunks(), grid, model.layersOfChunks(), request);
        Arguments changed = new Arguments(arguments.changed(source.arguments().namespace(), 0));
        Optional<OptimizerTree> optimizers =
                optimizer.map(o -> new OptimizerTree(model, grid, o, changed));
        if (optimizer.filter(o -> o.distributed() || o.masters()).isPresent()) {
            OptimizerSettings.widened(request.parameters()).ifPresent(notes::add);
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
            notes.addAll(MadeArguments.notes(asked, optimizer));
        }
        FilesBeside.add(request, IterationFolder.of(request), files, losses);
        random.tell(source, grid, notes, losses);
        if (request.carried().stream().anyMatch(f -> f.role().equals(Roles.OBJECTS))) {
            losses.add(
                    "sharded objects (rerun_state_machine): a rank's file has no place for them");
        }
        return new TargetTree(
                files, _ -> List.of(), List.of(IterationFolder.tracker(request)), losses, notes);
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
                                IterationFolder.of(request),
                                RankFolder.nameOf(tp, stage, ep, grid.pp(), grid.ep()));
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
}
