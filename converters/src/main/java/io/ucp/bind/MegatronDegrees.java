package io.ucp.bind;

import io.ucp.formats.AxisDegree;
import io.ucp.layout.ImpossibleLayoutException;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/// The degrees of a job of Megatron-LM: experts divide all ranks of a stage anew, over `ep` and,
/// for those that share one, `etp`.
///
/// Source: Megatron-LM `core/parallel_state.py` (`initialize_model_parallel`).
final class MegatronDegrees {
    private MegatronDegrees() {}

    /// @throws ImpossibleLayoutException for degrees that no job can have
    static TargetDegrees of(TargetBinder.Source source, TargetRequest request) {
        int pp = TargetDegrees.degree(source, "pp", request.pp());
        int dp = TargetDegrees.degree(source, "dp", request.dp());
        int cp = TargetDegrees.degree(source, "cp", OptionalInt.empty());
        int tp = TargetDegrees.degree(source, "tp", request.tp());
        List<AxisDegree> axes = new ArrayList<>();
        axes.add(new AxisDegree("pp", pp));
        axes.add(new AxisDegree("dp", dp));
        if (cp > 1) {
            axes.add(new AxisDegree("cp", cp));
        }
        axes.add(new AxisDegree("tp", tp));
        boolean experts = source.hints().numbers().containsKey("experts") || has(source, "ep");
        if (!experts && (request.ep().orElse(1) > 1 || request.etp().orElse(1) > 1)) {
            throw new ImpossibleLayoutException(
                    "experts over ep %d, etp %d of a model without experts"
                            .formatted(request.ep().orElse(1), request.etp().orElse(1)),
                    "ep 1");
        }
        if (experts) {
            int ep = TargetDegrees.degree(source, "ep", request.ep());
            int etp = request.etp().orElse(inherited(source, tp));
            divide(dp * cp * tp, tp, ep, etp);
            axes.add(new AxisDegree("ep", ep));
            axes.add(new AxisDegree("etp", etp));
        }
        return new TargetDegrees(List.copyOf(axes), -1, experts);
    }

    /// Those of `tp`, as the framework takes it where nothing is said; the source's own where it
    /// had others.
    private static int inherited(TargetBinder.Source source, int tp) {
        int before = TargetDegrees.degree(source, "etp", OptionalInt.empty());
        boolean own =
                has(source, "etp")
                        && before != TargetDegrees.degree(source, "tp", OptionalInt.empty());
        return own ? before : tp;
    }

    private static boolean has(TargetBinder.Source source, String axis) {
        return source.mesh().stream().anyMatch(a -> a.axis().equals(axis));
    }

    private static void divide(int ranks, int tp, int ep, int etp) {
        if (tp % etp != 0) {
            throw new ImpossibleLayoutException(
                    "etp %d of tp %d".formatted(etp, tp),
                    "a divisor, for the ranks' folders are named by tp: etp %s"
                            .formatted(Divisors.of(tp)));
        }
        if (ranks % (ep * etp) != 0) {
            throw new ImpossibleLayoutException(
                    "ep %d with etp %d over the %d ranks of a stage".formatted(ep, etp, ranks),
                    "an ep that divides them: ep %s".formatted(Divisors.of(ranks / etp)));
        }
    }
}
