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
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.IterationFolder;
import io.ucp.formats.mcore.ModelHints;
import io.ucp.formats.mcore.Roles;
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
    static final String NAME = Roles.LEGACY;

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public List<Candidate> find(Path path) throws IOException {
        return IterationFolder.find(NAME, RankFolder::areIn, path);
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
                                    held.seen(held.tensor())));
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
                hints(files, chunks, names, buffers),
                carried(files),
                new Origin(NAME, candidate.tag(), -1, files.grid().mesh(), Optional.empty()),
                findings,
                optimizers.members());
    }

    private static LayoutHints hints(
            RankFiles files, ModelChunks chunks, Set<String> names, Set<String> buffers) {
        LayoutHints hints = ModelHints.of(files.arguments(), names, buffers);
        Rank first = files.ranks().getFirst();
        Optional<String> family = files.order().family(first.model(), names);
        if (family.isEmpty()) {
            return hints;
        }
        LayoutHints known =
                hints.withFamily(family.get())
                        .withNumbers(
                                RowOrder.numbers(chunks.of(first).getFirst(), files.grid().tp()));
        Long heads = known.numbers().get("heads");
        Long hidden = known.numbers().get("hidden");
        return heads == null || hidden == null
                ? known
                : known.withNumbers(Map.of("head_dim", hidden / heads));
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

    /// Roles: [Roles#MODEL], [Roles#OPTIMIZER], [Roles#SIDE].
    private static List<CarriedFile> carried(RankFiles files) throws IOException {
        List<CarriedFile> carried = new ArrayList<>();
        Grid grid = files.grid();
        for (Rank rank : files.ranks()) {
            Coordinate at = grid.dense(rank.pp(), rank.tp());
            Coordinate full = grid.ep() > 1 ? at.with("ep", rank.ep()) : at;
            carried.add(rank.model().carried(Roles.MODEL, full));
            rank.optimizer().ifPresent(o -> carried.add(o.carried(Roles.OPTIMIZER, full)));
        }
        for (Path other : files.others()) {
            carried.add(
                    new CarriedFile(
                            files.folder().relativize(other).toString().replace('\\', '/'),
                            Roles.SIDE,
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
