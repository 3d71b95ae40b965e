package io.ucp.formats.deepspeed;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.Origin;
import io.ucp.formats.SavedPipeline;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.deepspeed.writing.RankedTree;
import io.ucp.formats.torch.TorchFolder;
import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// Checkpoints as DeepSpeed saves them: one file a rank.
public final class DeepSpeedFormat implements CheckpointFormat {
    static final String NAME = "deepspeed";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public List<Candidate> find(Path path) throws IOException {
        return TagFolder.find(path);
    }

    @Override
    public CheckpointIndex index(Candidate candidate) throws IOException {
        List<Finding> findings = new ArrayList<>();
        if (candidate.pointer().endsWith(NO_POINTER)) {
            findings.add(
                    new Finding(
                            candidate.folder().toString(),
                            "no `latest` led here: taken for the only folder with rank files, or"
                                    + " because it was chosen"));
        }
        TagFolder.requireFolder(candidate);
        CheckpointFiles files = CheckpointFiles.read(candidate.folder());
        for (Path other : files.folders()) {
            findings.add(
                    new Finding(
                            other.toString(),
                            "no file: nothing in it is read, converted or carried; DeepSpeed makes"
                                    + " no folders here"));
        }
        Degrees degrees = Degrees.of(files, findings);
        ModelStates first = files.model(0);
        if (first.groups().isPresent() && files.optimizers().isEmpty()) {
            throw files.missing("zero_pp_rank_0_mp_rank_00_optim_states.pt");
        }
        FlatGroups optimizer = FlatGroups.read(files, degrees, findings);
        GroupHolders.Experts experts =
                files.optimizers().isEmpty()
                        ? ExpertOptimizers.divided(files, degrees)
                        : optimizer.experts();
        Weights weights = Weights.read(files, degrees, experts, findings);
        List<HeldTensor> tensors = new ArrayList<>(weights.tensors());
        WholeOptimizer whole = WholeOptimizer.read(files, degrees, weights, experts, findings);
        tensors.addAll(whole.tensors());
        List<FlatGroup> groups = new ArrayList<>(optimizer.groups());
        groups.addAll(FlatGroups.frozen(files, degrees));
        int stage = files.optimizers().isEmpty() ? 0 : files.optimizer(0, 0).stage();
        List<AxisDegree> mesh = degrees.mesh(experts);
        return new CheckpointIndex(
                NAME,
                candidate.folder(),
                candidate.tag(),
                iteration(first),
                stage,
                mesh,
                tensors,
                groups,
                List.of(),
                Hints.read(files, degrees, weights, findings),
                CarriedFiles.of(files, degrees, weights),
                new Origin(NAME, candidate.tag(), stage, mesh, Optional.empty()),
                merged(findings),
                whole.members());
    }

    /// What is the same in several places is said once.
    private static List<Finding> merged(List<Finding> findings) {
        Map<String, List<String>> places = new LinkedHashMap<>();
        findings.forEach(
                f -> places.computeIfAbsent(f.message(), _ -> new ArrayList<>()).add(f.place()));
        return places.entrySet().stream()
                .map(e -> new Finding(placesOf(e.getValue()), e.getKey()))
                .toList();
    }

    private static String placesOf(List<String> places) {
        return places.size() == 1
                ? places.getFirst()
                : "%s and %d more".formatted(places.getFirst(), places.size() - 1);
    }

    /// The script's own count, where it saved one.
    private static OptionalLong iteration(ModelStates model) {
        OptionalLong own = model.number("iteration");
        return own.isPresent() ? own : model.number("global_steps");
    }

    @Override
    public List<Checksummed> checksums(CheckpointIndex index, Collection<ByteSource> read)
            throws IOException {
        return TorchFolder.checksums(read);
    }

    @Override
    public List<Finding> damage(CheckpointIndex index) throws IOException {
        return TorchFolder.damage(index.folder());
    }

    @Override
    public Set<String> options() {
        return RankedTree.OPTIONS;
    }

    @Override
    public SavedPipeline pipeline(List<CarriedFile> carried) {
        return PipelineStages.of(carried);
    }

    @Override
    public TargetTree layout(WriteRequest request) {
        return RankedTree.of(request);
    }
}
