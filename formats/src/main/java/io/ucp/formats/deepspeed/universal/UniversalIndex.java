package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedTensors;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.deepspeed.CheckpointFile;
import io.ucp.formats.deepspeed.Hints;
import io.ucp.formats.deepspeed.ModelStates;
import io.ucp.formats.deepspeed.universal.UniversalFolder.RankFile;
import io.ucp.io.Parallel;
import io.ucp.io.PlainFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SequencedMap;

/// Reads a universal folder: names, then model states, then every parameter's folder, then how they
/// fit together.
final class UniversalIndex {
    private final Candidate candidate;
    private final UniversalFolder folder;
    private final CheckpointFile optimizer;
    private final List<Rank> ranks;
    private final Job job;
    private final List<Finding> findings = new ArrayList<>();

    /// One model states file, opened.
    private record Rank(RankFile name, ModelStates states) {}

    private UniversalIndex(Candidate candidate) throws IOException {
        this.candidate = candidate;
        this.folder = UniversalFolder.of(candidate.folder());
        this.optimizer = CheckpointFile.open(folder.optimizerState());
        List<Rank> opened = new ArrayList<>();
        for (RankFile name : folder.modelStates()) {
            opened.add(new Rank(name, ModelStates.of(CheckpointFile.open(name.path()))));
        }
        this.ranks = opened;
        this.job = Job.of(first(), optimizer.root());
    }

    private ModelStates first() throws IncompleteCheckpointException {
        if (ranks.isEmpty()) {
            throw new IncompleteCheckpointException(
                    candidate.folder().toString(),
                    "there are no model states",
                    "mp_rank_00_model_states.pt, or zero_pp_rank_0_mp_rank_00_model_states.pt"
                            + " (ZeRO-3)",
                    "copy them from the checkpoint that was converted");
        }
        return ranks.getFirst().states();
    }

    static CheckpointIndex of(Candidate candidate) throws IOException {
        return new UniversalIndex(candidate).index();
    }

    private CheckpointIndex index() throws IOException {
        checkRanks();
        // Data-parallel ranks say the same of parameters.
        List<ModelStates> states =
                ranks.stream().filter(r -> r.name().dp() <= 0).map(Rank::states).toList();
        LayoutHints hints = Hints.of(states, candidate.folder(), findings);
        SequencedMap<String, StateFolder> folders = new LinkedHashMap<>();
        for (var read :
                Parallel.map(
                        List.copyOf(folder.parameters().entrySet()),
                        e ->
                                Map.entry(
                                        e.getKey(),
                                        StateFolder.read(e.getValue(), job.tensor() > 1)))) {
            folders.put(read.getKey(), read.getValue());
        }
        Map<String, TensorEntry> weights = job.modelParallel() == 1 ? first().module() : Map.of();
        Assembly assembly =
                new Assembly(
                        Enrolment.of(states, job.tensor(), optimizer),
                        folders,
                        weights,
                        hints,
                        candidate.folder());
        List<WholeParameter> wholes = assembly.parameters();
        findings.addAll(assembly.findings());
        for (Path extra : folder.extra()) {
            findings.add(
                    new Finding(
                            relative(extra),
                            "not part of DeepSpeed's universal form, carried as it is"));
        }
        return new CheckpointIndex(
                DeepSpeedUniversalFormat.NAME,
                candidate.folder(),
                candidate.tag(),
                iteration(),
                job.stage(),
                List.of(),
                List.of(),
                List.of(),
                wholes,
                hints,
                carried(wholes),
                new Origin("deepspeed", candidate.tag(), job.stage(), job.mesh(), Optional.empty()),
                findings);
    }

    /// The script's own count, where it saved one.
    private OptionalLong iteration() throws IOException {
        OptionalLong own = first().number("iteration");
        return own.isPresent() ? own : first().number("global_steps");
    }

    /// DeepSpeed refuses a count of files that is not `mp_world_size`; so does this.
    private void checkRanks() throws IncompleteCheckpointException {
        boolean perRank = ranks.getFirst().name().dp() >= 0;
        int dp = perRank ? job.data() : 1;
        for (int mp = 0; mp < job.modelParallel(); mp++) {
            for (int d = 0; d < dp; d++) {
                checkRank(perRank ? d : -1, mp);
            }
        }
        if (ranks.size() != dp * job.modelParallel()) {
            throw new IncompleteCheckpointException(
                    candidate.folder().toString(),
                    "there are %d model states files".formatted(ranks.size()),
                    "%d (mp_world_size %d, dp_world_size %d)"
                            .formatted(dp * job.modelParallel(), job.modelParallel(), job.data()),
                    "remove the files of other runs");
        }
        for (Rank rank : ranks) {
            checkSave(rank.states());
        }
    }

    private void checkSave(ModelStates other) throws IncompleteCheckpointException {
        for (String key : List.of("iteration", "global_steps")) {
            if (!other.number(key).equals(first().number(key))) {
                throw new IncompleteCheckpointException(
                        other.file().path().toString(),
                        "%s is %s, and %s in %s"
                                .formatted(
                                        key,
                                        text(other.number(key)),
                                        text(first().number(key)),
                                        first().file().label()),
                        "the files of one save",
                        "copy the files of one save into one folder");
            }
        }
    }

    private static String text(OptionalLong number) {
        return number.isPresent() ? Long.toString(number.getAsLong()) : "not there";
    }

    private void checkRank(int dp, int mp) throws IncompleteCheckpointException {
        if (ranks.stream().anyMatch(r -> r.name().dp() == dp && r.name().mp() == mp)) {
            return;
        }
        String name =
                dp < 0
                        ? String.format(Locale.ROOT, "mp_rank_%02d_model_states.pt", mp)
                        : String.format(
                                Locale.ROOT,
                                "zero_pp_rank_%d_mp_rank_%02d_model_states.pt",
                                dp,
                                mp);
        throw new IncompleteCheckpointException(
                candidate.folder().resolve(name).toString(),
                "the file is missing",
                "one file for each of %d model-parallel ranks%s"
                        .formatted(
                                job.modelParallel(),
                                dp < 0 ? "" : " and %d data-parallel ranks".formatted(job.data())),
                "copy it from the checkpoint that was converted");
    }

    private List<CarriedFile> carried(List<WholeParameter> wholes) throws IOException {
        List<CarriedTensors.Named> named = new ArrayList<>();
        for (WholeParameter whole : wholes) {
            if (whole.states().containsKey(Assembly.WEIGHT)) {
                TensorEntry weight = whole.tensor(Assembly.WEIGHT);
                named.add(new CarriedTensors.Named(weight, whole.facts().name(), Assembly.WEIGHT));
            }
        }
        List<CarriedFile> all = new ArrayList<>();
        for (Rank rank : ranks) {
            CheckpointFile file = rank.states().file();
            CarriedFile bytes =
                    file.carried(file.label(), Carried.MODEL_STATES, rank.name().at(job.tensor()));
            // Weights are parameters' only where one rank holds them all.
            all.add(
                    job.modelParallel() == 1 && rank.name().dp() <= 0
                            ? CarriedTensors.naming(bytes, named)
                            : bytes);
        }
        all.add(
                optimizer.carried(
                        UniversalFolder.ZERO + "/" + UniversalFolder.OPTIMIZER_STATE,
                        Carried.OPTIMIZER_STATE,
                        Coordinate.NONE));
        for (Path extra : folder.extra()) {
            if (Files.isRegularFile(extra)) {
                all.add(
                        new CarriedFile(
                                relative(extra),
                                Carried.SIDE,
                                Coordinate.NONE,
                                Optional.of(PlainFile.of(extra)),
                                Optional.empty(),
                                Map.of()));
            }
        }
        return all;
    }

    private String relative(Path path) {
        return candidate.folder().relativize(path).toString().replace('\\', '/');
    }
}
