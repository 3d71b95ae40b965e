package io.ucp.formats.megatron;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Finding;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.TargetTree;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.megatron.ModelChunks.Held;
import io.ucp.formats.megatron.RankFiles.Rank;
import io.ucp.formats.torch.TorchFolder;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;
import io.ucp.io.PlainFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;

/// Checkpoints as Megatron-LM saves them with `--ckpt-format torch`.
public final class MegatronFormat implements CheckpointFormat {
    static final String NAME = "megatron";

    /// `model_optim_rng.pt`.
    static final String MODEL = "model";

    /// `distrib_optim.pt`.
    static final String OPTIMIZER = "optimizer";

    /// A file that no rank owns.
    static final String SIDE = "side";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public List<Candidate> find(Path path) throws IOException {
        return IterationFolder.find(path);
    }

    @Override
    public Set<String> options() {
        return Set.of(MegatronTree.RNG);
    }

    @Override
    public String naming() {
        return "megatron_core";
    }

    @Override
    public CheckpointIndex index(Candidate candidate) throws IOException {
        List<Finding> findings = new ArrayList<>();
        if (!Files.isDirectory(candidate.folder()) && !candidate.pointer().isEmpty()) {
            throw new IncompleteCheckpointException(
                    candidate.folder().toString(),
                    "`%s` names it, and it is not there".formatted(candidate.pointer()),
                    "the folder of the iteration",
                    "copy it from where it was written, or name another iteration's folder");
        }
        RankFiles files = RankFiles.read(candidate.folder());
        ModelChunks chunks = ModelChunks.read(files);
        Optimizers optimizers = Optimizers.read(files, chunks);
        List<HeldTensor> tensors = new ArrayList<>();
        Set<String> names = new TreeSet<>();
        Set<String> buffers = new TreeSet<>();
        for (Rank rank : files.ranks()) {
            for (List<Held> chunk : chunks.of(rank)) {
                for (Held held : chunk) {
                    names.add(held.global());
                    if (held.isBuffer()) {
                        buffers.add(held.global());
                    }
                    tensors.add(
                            new HeldTensor(
                                    held.global(),
                                    "weight",
                                    optimizers.at(held, rank),
                                    held.tensor()));
                }
            }
        }
        tensors.addAll(optimizers.tensors());
        if (optimizers.tensors().isEmpty()) {
            findings.add(
                    new Finding(
                            candidate.tag(),
                            "no optimizer was saved: the checkpoint holds the weights alone"));
        }
        return new CheckpointIndex(
                NAME,
                candidate.folder(),
                candidate.tag(),
                iteration(files),
                -1,
                files.grid().mesh(),
                tensors,
                List.of(),
                List.of(),
                hints(files.arguments(), names, buffers),
                carried(files),
                new Origin(NAME, candidate.tag(), -1, files.grid().mesh(), Optional.empty()),
                findings,
                optimizers.members());
    }

    private static OptionalLong iteration(RankFiles files) {
        return files.ranks()
                .getFirst()
                .model()
                .root()
                .find("iteration")
                .map(PickleValue::asLong)
                .orElse(OptionalLong.empty());
    }

    private static LayoutHints hints(Arguments arguments, Set<String> names, Set<String> buffers) {
        Map<String, Long> numbers = arguments.numbers();
        Long rows = numbers.get("vocab");
        boolean tied = arguments.tied() && names.contains(Names.EMBEDDING);
        return new LayoutHints(
                Optional.empty(),
                List.of(),
                rows == null ? OptionalLong.empty() : OptionalLong.of(rows),
                tied ? Map.of(Names.HEAD, Names.EMBEDDING) : Map.of(),
                Set.of(),
                buffers,
                numbers,
                family(arguments, names));
    }

    private static Optional<String> family(Arguments arguments, Set<String> names) {
        if (names.stream().noneMatch(n -> n.startsWith("decoder.layers."))) {
            return Optional.empty();
        }
        boolean experts = names.stream().anyMatch(Names::isExpert);
        return Optional.of(
                arguments.gated()
                        ? experts ? "megatron_core_moe" : "megatron_core_llama"
                        : experts ? "megatron_core_gpt_moe" : "megatron_core_gpt");
    }

    /// Roles: [#MODEL], [#OPTIMIZER], [#SIDE].
    private static List<CarriedFile> carried(RankFiles files) throws IOException {
        List<CarriedFile> carried = new ArrayList<>();
        Grid grid = files.grid();
        for (Rank rank : files.ranks()) {
            Coordinate at = grid.dense(rank.pp(), rank.tp());
            Coordinate full = grid.ep() > 1 ? at.with("ep", rank.ep()) : at;
            carried.add(rank.model().carried(MODEL, full));
            rank.optimizer().ifPresent(o -> carried.add(o.carried(OPTIMIZER, full)));
        }
        for (Path other : files.others()) {
            carried.add(
                    new CarriedFile(
                            files.folder().relativize(other).toString().replace('\\', '/'),
                            SIDE,
                            Coordinate.NONE,
                            Optional.of(PlainFile.of(other)),
                            Optional.empty(),
                            Map.of()));
        }
        return carried;
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
    public TargetTree layout(WriteRequest request) {
        return MegatronTree.of(request);
    }
}
