package io.ucp.plan;

import io.ucp.io.ChecksumField;
import io.ucp.io.WindowAssembler;

import java.util.List;
import java.util.Optional;

/// Steps that tile one target file: every byte of `[0, size)` is written exactly once, and every
/// element of a step comes from exactly one place of each copy. Making one proves it; executing may
/// rely on it.
///
/// @param path relative to the output folder; for plans that are only read, a name
/// @param size bytes (of the uncompressed view where there is an `assembler`)
/// @param steps by offset
/// @param checksums by the range they cover
/// @param digests by the range they cover
/// @param against another source's way to the same bytes, compared with
public record TargetPlan(
        String path,
        long size,
        List<Step> steps,
        Spans<ChecksumField> checksums,
        Spans<DigestRegion> digests,
        Optional<WindowAssembler> assembler,
        Optional<Against> against) {
    /// @throws BrokenPlanException where the steps do not tile
    public TargetPlan {
        steps = List.copyOf(steps);
        Tiling.prove(path, size, steps);
        if (against.isPresent()) {
            Tiling.prove(path + " (second)", size, against.get().steps());
        }
        if (assembler.isPresent()) {
            Tiling.proveCuts(path, size, assembler.get().cuts(), steps);
            if (!checksums.items().isEmpty()) {
                throw new BrokenPlanException(path, 0, "has checksum fields in compressed bytes");
            }
        }
    }

    static TargetPlan of(
            String path,
            long size,
            List<Step> steps,
            List<ChecksumField> checksums,
            List<DigestRegion> digests,
            Optional<WindowAssembler> assembler,
            Optional<Against> against) {
        return new TargetPlan(
                path,
                size,
                steps,
                Spans.of(checksums, ChecksumField::from, c -> c.from() + c.size()),
                Spans.of(digests, DigestRegion::offset, DigestRegion::end),
                assembler,
                against);
    }

    /// @param steps that tile the same `[0, size)`
    /// @param label whose copies are the two sides, in [CopyPlan#labels]
    public record Against(List<Step> steps, int label) {
        public Against {
            steps = List.copyOf(steps);
        }
    }
}
