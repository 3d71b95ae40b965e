package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.deepspeed.universal.UniversalFolder.RankFile;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.io.PlainFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Reads a universal folder: names, then model states, then every parameter's folder, then how they
/// fit together.
final class UniversalIndex {
    private final Candidate candidate;
    private final UniversalFolder folder;
    private final List<Rank> ranks = new ArrayList<>();
    private final List<Finding> findings = new ArrayList<>();

    /// One model states file, opened.
    private record Rank(RankFile name, TorchFile file, ModelStates states) {}

    private UniversalIndex(Candidate candidate) throws IOException {
        this.candidate = candidate;
        this.folder = UniversalFolder.of(candidate.folder());
    }

    static CheckpointIndex of(Candidate candidate) throws IOException {
        return new UniversalIndex(candidate).index();
    }

    private CheckpointIndex index() throws IOException {
        TorchFile optimizer = TorchFile.open(folder.optimizerState());
        openModelStates();
        List<ModelStates> states = ranks.stream().map(Rank::states).toList();
        ModelStates first = states.getFirst();
        LayoutHints hints = Hints.of(states);
        Enrolment enrolment = Enrolment.of(firstOfEachModelRank(), optimizer);
        Map<String, StateFolder> folders =
                Parallel.map(
                        folder.parameters(),
                        path -> StateFolder.read(path, first.tensorParallel() > 1));
        boolean unsharded = first.modelParallel() == 1;
        Map<String, PickleValue> module = unsharded ? first.module() : Map.of();
        Map<String, TensorEntry> weights = new LinkedHashMap<>();
        module.forEach(
                (name, node) ->
                        ranks.getFirst()
                                .file()
                                .tensor(node)
                                .ifPresent(
                                        t ->
                                                weights.put(
                                                        name,
                                                        StateFolder.entry(
                                                                ranks.getFirst().file(), t))));
        Assembly assembly = new Assembly(enrolment, folders, weights, hints, candidate.folder());
        List<WholeParameter> wholes = assembly.parameters();
        findings.addAll(assembly.findings());
        for (Path extra : folder.extra()) {
            findings.add(
                    new Finding(
                            candidate.folder().relativize(extra).toString(),
                            "not part of DeepSpeed's universal form; it is left out"));
        }
        int stage = stage(optimizer, first);
        List<AxisDegree> mesh =
                List.of(
                        new AxisDegree("pp", first.pipelineParallel()),
                        new AxisDegree("dp", first.dataParallel()),
                        new AxisDegree("tp", first.tensorParallel()));
        return new CheckpointIndex(
                DeepSpeedUniversalFormat.NAME,
                candidate.folder(),
                candidate.tag(),
                first.iteration(),
                stage,
                List.of(),
                List.of(),
                List.of(),
                wholes,
                hints,
                carried(optimizer, module, wholes, first),
                new Origin("deepspeed", candidate.tag(), stage, mesh, Optional.empty()),
                findings);
    }

    /// DeepSpeed refuses a count of files that is not `mp_world_size`; so does this.
    private void openModelStates() throws IOException {
        for (RankFile name : folder.modelStates()) {
            TorchFile file = TorchFile.open(name.path());
            ranks.add(new Rank(name, file, new ModelStates(file.tree())));
        }
        if (ranks.isEmpty()) {
            throw new IncompleteCheckpointException(
                    candidate.folder().toString(),
                    "there are no model states",
                    "mp_rank_00_model_states.pt, or zero_pp_rank_0_mp_rank_00_model_states.pt (ZeRO-3)",
                    "copy them from the checkpoint that was converted");
        }
        ModelStates first = ranks.getFirst().states();
        boolean perRank = ranks.getFirst().name().dp() >= 0;
        int dp = perRank ? first.dataParallel() : 1;
        for (int mp = 0; mp < first.modelParallel(); mp++) {
            for (int d = 0; d < dp; d++) {
                RankFile expected = new RankFile(candidate.folder(), perRank ? d : -1, mp);
                if (ranks.stream().noneMatch(r -> sameRank(r.name(), expected))) {
                    throw missing(expected, first);
                }
            }
        }
        if (ranks.size() != dp * first.modelParallel()) {
            throw new IncompleteCheckpointException(
                    candidate.folder().toString(),
                    "there are %d model states files".formatted(ranks.size()),
                    "%d (mp_world_size %d, dp_world_size %d)"
                            .formatted(
                                    dp * first.modelParallel(),
                                    first.modelParallel(),
                                    first.dataParallel()),
                    "remove the files of other runs");
        }
    }

    private static boolean sameRank(RankFile a, RankFile b) {
        return a.dp() == b.dp() && a.mp() == b.mp();
    }

    private IncompleteCheckpointException missing(RankFile rank, ModelStates first) {
        String name =
                rank.dp() < 0
                        ? "mp_rank_%02d_model_states.pt".formatted(rank.mp())
                        : "zero_pp_rank_%d_mp_rank_%02d_model_states.pt"
                                .formatted(rank.dp(), rank.mp());
        return new IncompleteCheckpointException(
                candidate.folder().resolve(name).toString(),
                "the file is missing",
                "one file for each of %d model-parallel ranks%s"
                        .formatted(
                                first.modelParallel(),
                                rank.dp() < 0
                                        ? ""
                                        : " and %d data-parallel ranks"
                                                .formatted(first.dataParallel())),
                "copy it from the checkpoint that was converted");
    }

    /// Data-parallel ranks say the same of parameters.
    private List<ModelStates> firstOfEachModelRank() {
        return ranks.stream().filter(r -> r.name().dp() <= 0).map(Rank::states).toList();
    }

    private static int stage(TorchFile optimizer, ModelStates first) {
        long stage =
                optimizer
                        .tree()
                        .find("zero_stage")
                        .map(ModelStates::stage)
                        .filter(s -> s.isPresent())
                        .orElseGet(first::stage)
                        .orElse(1);
        return Math.clamp(stage, 0, 3);
    }

    private List<CarriedFile> carried(
            TorchFile optimizer,
            Map<String, PickleValue> module,
            List<WholeParameter> wholes,
            ModelStates first)
            throws IOException {
        List<CarriedFile> all = new ArrayList<>();
        for (int i = 0; i < ranks.size(); i++) {
            Rank rank = ranks.get(i);
            List<Carried.Named> named =
                    i == 0 ? weights(rank.file(), module, wholes) : List.of();
            all.add(
                    Carried.of(
                            rank.file(),
                            rank.name().path().getFileName().toString(),
                            Carried.MODEL_STATES,
                            rank.name().at(first.tensorParallel()),
                            named));
        }
        all.add(
                Carried.of(
                        optimizer,
                        UniversalFolder.ZERO + "/" + UniversalFolder.OPTIMIZER_STATE,
                        Carried.OPTIMIZER_STATE,
                        Coordinate.NONE,
                        List.of()));
        for (Path extra : folder.extra()) {
            if (Files.isRegularFile(extra)) {
                all.add(
                        new CarriedFile(
                                candidate.folder().relativize(extra).toString().replace('\\', '/'),
                                Carried.SIDE,
                                Coordinate.NONE,
                                Optional.of(PlainFile.of(extra)),
                                Optional.empty(),
                                Map.of()));
            }
        }
        return all;
    }

    /// The model's weights that are states of parameters here.
    private static List<Carried.Named> weights(
            TorchFile file, Map<String, PickleValue> module, List<WholeParameter> wholes) {
        List<Carried.Named> named = new ArrayList<>();
        for (WholeParameter whole : wholes) {
            ParameterFacts facts = whole.facts();
            PickleValue node = module.get(facts.name());
            if (node != null && facts.states().containsKey(Assembly.WEIGHT)) {
                file.tensor(node)
                        .map(t -> new Carried.Named(t, facts.name(), Assembly.WEIGHT))
                        .ifPresent(named::add);
            }
        }
        return named;
    }
}
