package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.WriteRequest;

import java.util.List;
import java.util.Map;

/// Experts of which no universal form is written: those of DeepSpeed-MoE, for which upstream has
/// none, and those of AutoEP that upstream refuses.
///
/// Source: DeepSpeed `checkpoint/ds_to_universal.py` (`native_moe` is skipped), `moe/experts.py`
/// (`deepspeed_experts`), `checkpoint/autoep_universal.py`
/// (`consolidate_autoep_zero12_expert_states`).
final class Experts {
    private static final String MODULES = "deepspeed_experts.";
    private static final String KEPT = "--to universal holds every expert";

    private Experts() {}

    static boolean ofDeepSpeedMoe(String parameter) {
        return parameter.startsWith(MODULES) || parameter.contains("." + MODULES);
    }

    /// @param trained parameters that get a folder
    /// @throws RefusedException where the state holds any
    static void refuse(WriteRequest request, List<ParameterFacts> trained, FusedLayers fused) {
        List<String> names =
                request.parameters().stream()
                        .map(ParameterFacts::name)
                        .filter(Experts::ofDeepSpeedMoe)
                        .toList();
        if (!names.isEmpty()) {
            throw new RefusedException(
                    names.getFirst(),
                    "one of %d expert parameters of DeepSpeed-MoE".formatted(names.size()),
                    "a model without such experts: DeepSpeed's universal form has no place for"
                            + " them",
                    KEPT);
        }
        int degree = degree(request.origin(), "ep");
        if (fused.isEmpty() && degree > 1) {
            throw new RefusedException(
                    "checkpoint " + request.tag(),
                    "experts over %d expert-parallel ranks".formatted(degree),
                    "those of AutoEP, which the model states list in `ds_autoep_layers`: DeepSpeed"
                            + " has a universal form for no others",
                    KEPT);
        }
        int tensor = degree(request.origin(), "tp");
        if (!fused.isEmpty() && tensor > 1) {
            throw new RefusedException(
                    "checkpoint " + request.tag(),
                    "experts of AutoEP in a job of tp " + tensor,
                    "one tensor-parallel rank",
                    "--to deepspeed --tp 1 makes a checkpoint that it is written of; " + KEPT);
        }
        Map<String, Long> experts = fused.experts();
        for (ParameterFacts p : request.parameters()) {
            Long count = experts.get(p.name());
            if (count != null) {
                check(p, count, trained.contains(p));
            }
        }
    }

    private static void check(ParameterFacts p, long count, boolean trained) {
        if (!trained) {
            throw new RefusedException(
                    p.name(),
                    "experts of AutoEP that are not trained",
                    "experts that the optimizer holds: their own files have no place in"
                            + " DeepSpeed's universal form",
                    KEPT);
        }
        if (p.shape().rank() == 0 || p.shape().dim(0) != count) {
            throw new RefusedException(
                    p.name(),
                    "the shape " + p.shape(),
                    "%d experts along dimension 0, as `ds_autoep_layers` says".formatted(count),
                    KEPT);
        }
    }

    private static int degree(Origin origin, String axis) {
        return origin.mesh().stream()
                .filter(a -> a.axis().equals(axis))
                .mapToInt(AxisDegree::degree)
                .findFirst()
                .orElse(1);
    }
}
