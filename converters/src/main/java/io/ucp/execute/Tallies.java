package io.ucp.execute;

import io.ucp.io.ChecksumField;
import io.ucp.plan.CopyPlan;
import io.ucp.plan.DigestRegion;
import io.ucp.tensor.Crc;
import io.ucp.tensor.TensorDigest;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/// The digests of all states, added up from windows by all workers.
final class Tallies {
    private final CopyPlan plan;
    private final Map<Integer, TensorDigest> digests = new LinkedHashMap<>();

    Tallies(CopyPlan plan) {
        this.plan = plan;
        for (int label = 0; label < plan.labels().size(); label++) {
            int number = label;
            plan.labels()
                    .get(label)
                    .digestSize()
                    .ifPresent(size -> digests.put(number, new TensorDigest(size)));
        }
    }

    /// Counts what of a window, bytes `[from, to)` of a target, belongs to the region.
    void add(DigestRegion region, long from, long to, WindowSums sums) {
        int width = region.width();
        EvenRuns runs =
                new EvenRuns(Optional.ofNullable(digests.get(region.label())).orElseThrow());
        long low = Math.floorDiv(from - region.base(), width);
        long high = Math.ceilDiv(to - region.base(), width);
        region.moves()
                .lines(
                        low,
                        high,
                        (real, realStride, at, stride, count) -> {
                            boolean run = realStride == 1 && stride == 1;
                            int size = Math.toIntExact(run ? count * width : width);
                            for (long k = 0; k < (run ? 1 : count); k++) {
                                int start =
                                        Math.toIntExact(
                                                region.base() + (at + k * stride) * width - from);
                                runs.add(
                                        (real + k * realStride) * width,
                                        size,
                                        sums.castagnoli(start, start + size),
                                        sums.zip(start, start + size));
                            }
                        });
        runs.flush();
    }

    /// What of a window, bytes `[from, to)` of a target, adds to a checksum field.
    static int checksum(ChecksumField field, long from, long to, WindowSums sums) {
        long low = Math.max(from, field.from());
        long end = field.from() + field.size();
        long high = Math.min(to, end);
        return Crc.ZIP.before(sums.zip((int) (low - from), (int) (high - from)), end - high);
    }

    /// parameter -> state -> digest
    Map<String, Map<String, String>> digests() {
        Map<String, Map<String, String>> out = new LinkedHashMap<>();
        digests.forEach(
                (number, digest) -> {
                    CopyPlan.Label label = plan.labels().get(number);
                    if (!digest.complete()) {
                        throw new IllegalStateException(
                                "internal error: the digest of %s/%s is not of the whole tensor"
                                        .formatted(label.parameter(), label.state()));
                    }
                    out.computeIfAbsent(label.parameter(), _ -> new HashMap<>())
                            .put(label.state(), digest.toString());
                });
        return out;
    }
}
