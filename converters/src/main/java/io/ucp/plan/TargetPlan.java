package io.ucp.plan;

import io.ucp.io.ChecksumField;
import io.ucp.io.WindowAssembler;
import java.util.List;
import java.util.Optional;

/// Steps that tile one target file: every byte of `[0, size)` written exactly once. The planner's
/// factory proves it; executing may rely on it.
///
/// @param steps by offset
public record TargetPlan(
        String path,
        long size,
        List<Step> steps,
        List<ChecksumField> checksums,
        List<DigestRegion> digests,
        Optional<WindowAssembler> assembler) {
    public TargetPlan {
        steps = List.copyOf(steps);
        checksums = List.copyOf(checksums);
        digests = List.copyOf(digests);
    }
}
