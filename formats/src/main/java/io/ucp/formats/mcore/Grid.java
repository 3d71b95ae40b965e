package io.ucp.formats.mcore;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.Coordinate;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/// The ranks of a job. Those of a pipeline stage are numbered tensor-parallel ranks innermost, then
/// context, then data; the same ranks are divided anew for the experts, those that share an expert
/// (`etp`) innermost, then `ep`, then the rest.
///
/// Source: Megatron-LM `core/parallel_state.py` (`RankGenerator`, orders `tp-cp-ep-dp-pp` and
/// `tp-cp-ep-pp-dp`).
///
/// @param virtual model chunks of a stage
/// @param dp data-parallel ranks of whatever is no expert
/// @param experts whether the model has any
public record Grid(int tp, int pp, int virtual, int cp, int dp, int ep, int etp, boolean experts) {
    /// Ranks of a job; parts of a model, which are counted one by one.
    private static final long MOST_RANKS = 1 << 30;

    private static final long MOST_PARTS = 1 << 18;

    /// @throws RefusedException for more ranks than can be numbered
    public Grid {
        requireFew("a job of Megatron-LM", MOST_RANKS, tp, pp, cp, dp);
        requireFew("a job of Megatron-LM", MOST_PARTS, tp, pp, virtual);
        requireFew("a job of Megatron-LM", MOST_PARTS, etp, ep, pp);
    }

    private static void requireFew(String place, long most, int... degrees) {
        long product = 1;
        for (int degree : degrees) {
            product *= degree;
            if (degree < 1 || product > most) {
                throw new RefusedException(
                        place,
                        "degrees "
                                + Arrays.stream(degrees)
                                        .mapToObj(Integer::toString)
                                        .collect(Collectors.joining(" x ")),
                        "at most %d ranks".formatted(most),
                        "check the degrees that are asked for, or those that `args` of the source"
                                + " say");
            }
        }
    }

    /// @param file for messages
    public static Grid of(Arguments arguments, Path file) {
        requireFew(file.toString(), MOST_RANKS, arguments.tp(), arguments.pp(), arguments.cp());
        int model = arguments.tp() * arguments.pp() * arguments.cp();
        int dp = arguments.degree("data_parallel_size");
        if (arguments.world().isPresent()) {
            int world = arguments.world().getAsInt();
            if (world % model != 0) {
                throw contradiction(
                        file,
                        "world_size %d of tp %d, pp %d, cp %d"
                                .formatted(world, arguments.tp(), arguments.pp(), arguments.cp()),
                        "a multiple of their product");
            }
            dp = world / model;
        }
        Grid grid =
                new Grid(
                        arguments.tp(),
                        arguments.pp(),
                        arguments.virtual(),
                        arguments.cp(),
                        dp,
                        arguments.ep(),
                        arguments.experts() ? arguments.etp() : arguments.tp(),
                        arguments.experts());
        if (grid.tp % grid.etp != 0) {
            throw new RefusedException(
                    file.toString(),
                    "experts over %d tensor-parallel ranks, other parameters over %d"
                            .formatted(grid.etp, grid.tp),
                    "a divisor: the ranks' folders are named by the latter alone, so that several"
                            + " ranks write one file",
                    "save it with --ckpt-format torch_dist");
        }
        return grid;
    }

    /// Of a job that is to load a checkpoint.
    public static Grid of(TargetJob job) {
        boolean experts = job.mesh().stream().anyMatch(a -> a.axis().equals("ep"));
        return new Grid(
                job.degree("tp"),
                job.degree("pp"),
                job.virtual(),
                job.degree("cp"),
                job.degree("dp"),
                job.degree("ep"),
                experts ? job.degree("etp") : job.degree("tp"),
                experts);
    }

    private static RefusedException contradiction(Path file, String found, String expected) {
        return new RefusedException(file.toString(), found, expected, "");
    }

    /// Whether the experts have an optimizer of their own: their gradients are summed over other
    /// ranks than the rest's. Source: Megatron-LM `core/distributed/param_and_grad_buffer.py`
    /// (`group_params_for_buffers`).
    public boolean expertOptimizer() {
        return experts && (ep > 1 || etp != tp);
    }

    /// Ranks of a stage.
    public int stage() {
        return tp * cp * dp;
    }

    /// Of a rank by its number in its stage.
    public int expertRank(int inStage) {
        return inStage / etp % ep;
    }

    public int etp(int tensorRank) {
        return tensorRank % etp;
    }

    /// The tensor-parallel rank of the first rank that holds these experts.
    public int firstTensorRank(int expertRank, int inExpert) {
        return (expertRank * etp + inExpert) % tp;
    }

    /// The expert rank of the first rank that is this tensor-parallel rank.
    public int firstExpertRank(int tensorRank) {
        return tensorRank / etp % ep;
    }

    public Coordinate dense(int pipelineRank, int tensorRank) {
        return Coordinate.of("pp", pipelineRank).with("tp", tensorRank);
    }

    public Coordinate expert(int pipelineRank, int expertRank, int tensorRank) {
        return Coordinate.of("pp", pipelineRank)
                .with("ep", expertRank)
                .with("etp", etp(tensorRank));
    }

    /// Outermost first; the two axes of the experts last, where there are any.
    public List<AxisDegree> mesh() {
        List<AxisDegree> mesh = new ArrayList<>();
        mesh.add(new AxisDegree("pp", pp));
        mesh.add(new AxisDegree("dp", dp));
        if (cp > 1) {
            mesh.add(new AxisDegree("cp", cp));
        }
        mesh.add(new AxisDegree("tp", tp));
        if (experts) {
            mesh.add(new AxisDegree("ep", ep));
            mesh.add(new AxisDegree("etp", etp));
        }
        return mesh;
    }

    /// `tp 2, pp 2, ep 4`.
    @Override
    public String toString() {
        return "tp %d, pp %d%s".formatted(tp, pp, ep > 1 ? ", ep " + ep : "");
    }
}
