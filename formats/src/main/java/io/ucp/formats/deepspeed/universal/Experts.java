package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.Origin;
import io.ucp.formats.RefusedException;
import io.ucp.formats.WriteRequest;

import java.util.List;

/// Experts of which no universal form is written: those of DeepSpeed-MoE, for which upstream has
/// none, and those of AutoEP over more than one expert-parallel rank.
///
/// Source: DeepSpeed `checkpoint/ds_to_universal.py` (`native_moe` is skipped), `moe/experts.py`
/// (`deepspeed_experts`).
final class Experts {
    private static final String MODULES = "deepspeed_experts.";

    private Experts() {}

    static boolean ofDeepSpeedMoe(String parameter) {
        return parameter.startsWith(MODULES) || parameter.contains("." + MODULES);
    }

    /// @throws RefusedException where the state holds any
    static void refuse(WriteRequest request) {
        List<String> names =
                request.parameters().stream()
                        .map(p -> p.name())
                        .filter(Experts::ofDeepSpeedMoe)
                        .toList();
        int degree = expertParallel(request.origin());
        if (!names.isEmpty()) {
            throw new RefusedException(
                    names.getFirst(),
                    "one of %d expert parameters of DeepSpeed-MoE".formatted(names.size()),
                    "a model without such experts: DeepSpeed's universal form has no place for"
                            + " them",
                    "--to universal holds every expert");
        }
        if (degree > 1) {
            throw new RefusedException(
                    "checkpoint " + request.tag(),
                    "experts over %d expert-parallel ranks".formatted(degree),
                    "experts on one: their universal form over more is not written",
                    "--to deepspeed --ep 1 makes a checkpoint that it is written of; --to universal"
                            + " holds every expert");
        }
    }

    private static int expertParallel(Origin origin) {
        return origin.mesh().stream()
                .filter(a -> a.axis().equals("ep"))
                .mapToInt(a -> a.degree())
                .findFirst()
                .orElse(1);
    }
}
