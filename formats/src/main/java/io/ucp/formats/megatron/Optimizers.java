package io.ucp.formats.megatron;

import io.ucp.formats.Coordinate;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.OptimizerMember;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.megatron.ModelChunks.Held;
import io.ucp.formats.megatron.RankFiles.Rank;
import io.ucp.formats.torch.pickle.PickleValue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// What the optimizers of all ranks hold. There is one, or where experts are shared out over other
/// ranks than the rest, a list of two: of the rest, and of the experts.
///
/// Source: Megatron-LM `core/optimizer/optimizer.py` (`ChainedOptimizer`).
final class Optimizers {
    private final RankFiles files;
    private final ModelChunks chunks;
    private final List<HeldTensor> tensors = new ArrayList<>();
    private final List<OptimizerMember> members = new ArrayList<>();

    /// Stage, tensor-parallel rank (experts: expert rank, rank inside) whose buffers were found.
    private final Set<List<Integer>> covered = new HashSet<>();

    private Optimizers(RankFiles files, ModelChunks chunks) {
        this.files = files;
        this.chunks = chunks;
    }

    static Optimizers read(RankFiles files, ModelChunks chunks) throws IOException {
        Optimizers optimizers = new Optimizers(files, chunks);
        for (Rank rank : files.ranks()) {
            Optional<PickleValue> state =
                    rank.model().root().find("optimizer").filter(v -> !v.isNone());
            if (state.isPresent()) {
                optimizers.read(rank, state.get());
            }
        }
        optimizers.requireBuffers();
        return optimizers;
    }

    List<HeldTensor> tensors() {
        return tensors;
    }

    List<OptimizerMember> members() {
        return members;
    }

    private void read(Rank rank, PickleValue state) throws IOException {
        List<PickleValue> parts = state.asSequence().orElse(List.of(state));
        boolean apart = files.grid().expertOptimizer();
        if (parts.size() != (apart ? 2 : 1)) {
            throw new RefusedException(
                    rank.model().label(),
                    "%d optimizers".formatted(parts.size()),
                    apart ? "two, of the experts and of the rest" : "one",
                    "which parameters each of them has, the file does not say; save it with"
                            + " --ckpt-format torch_dist");
        }
        for (int i = 0; i < parts.size(); i++) {
            Part part = new Part(rank, i, i == 1, parts.size() > 1);
            if (isDistributed(parts.get(i))) {
                new DistributedOptimizer(files, part, parts.get(i), this).read();
            } else {
                new PlainOptimizer(files, part, parts.get(i), this).read();
            }
        }
    }

    /// One that keeps its tensors in a file of its own: groups without numbers of parameters.
    private static boolean isDistributed(PickleValue optimizer) {
        return optimizer.find("optimizer").isPresent()
                && optimizer.find("fp32_from_fp16_params").isEmpty()
                && optimizer.find("fp32_from_fp16").isEmpty()
                && optimizer.find("optimizer", "state").isEmpty();
    }

    /// An optimizer of a rank.
    ///
    /// @param number among the rank's optimizers
    /// @param experts whether it is that of the experts alone
    /// @param chained whether there are several
    record Part(Rank rank, int number, boolean experts, boolean chained) {
        String label() {
            return rank.model().label() + (chained ? ": optimizer " + number : "");
        }
    }

    /// The parameters of a part, chunk by chunk.
    List<List<Held>> parametersOf(Part part) {
        List<List<Held>> own = new ArrayList<>();
        for (List<Held> chunk : chunks.of(part.rank)) {
            own.add(
                    chunk.stream()
                            .filter(h -> !h.isBuffer())
                            .filter(h -> !part.chained || h.isExpert() == part.experts)
                            .toList());
        }
        return own;
    }

    /// Elements of all trained parameters of a rank.
    long elementsOf(Rank rank) {
        return chunks.of(rank).stream()
                .flatMap(List::stream)
                .filter(h -> !h.isBuffer())
                .mapToLong(h -> h.tensor().shape().count())
                .sum();
    }

    void cover(Part part) {
        covered.add(key(part));
    }

    private List<Integer> key(Part part) {
        Rank rank = part.rank;
        return part.experts
                ? List.of(1, rank.pp(), rank.ep(), files.grid().etp(rank.tp()))
                : List.of(0, rank.pp(), rank.tp());
    }

    private final Set<List<Integer>> wanted = new HashSet<>();

    /// A distributed optimizer of the part is in some rank's file.
    void want(Part part) {
        wanted.add(key(part));
    }

    private void requireBuffers() throws IncompleteCheckpointException {
        for (Rank rank : files.ranks()) {
            for (boolean experts : List.of(false, true)) {
                List<Integer> key = key(new Part(rank, 0, experts, true));
                if (wanted.contains(key) && !covered.contains(key)) {
                    throw RankFiles.missing(
                            files.folder().resolve(rank.folder()).resolve(RankFiles.OPTIMIZER));
                }
            }
        }
    }

    Coordinate at(Held held, Rank rank) {
        Grid grid = files.grid();
        return grid.experts() && held.isExpert()
                ? grid.expert(rank.pp(), rank.ep(), rank.tp())
                : grid.dense(rank.pp(), rank.tp());
    }

    void add(Held held, Rank rank, String state, TensorEntry tensor) {
        tensors.add(new HeldTensor(held.global(), state, at(held, rank), held.seen(tensor)));
    }

    void add(Held held, Rank rank, int group, Map<String, Scalar> scalars) {
        members.add(new OptimizerMember(held.global(), at(held, rank), group, scalars));
    }
}
