package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;
import io.ucp.formats.WriteRequest;
import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.IntUnaryOperator;
import java.util.stream.Stream;

/// What every model-parallel rank of the target holds, in the order of the source's parameters.
final class RankHoldings {
    private final List<List<Held>> ranks = new ArrayList<>();
    private final List<Map<String, Held>> byName = new ArrayList<>();
    private final ExpertPlaces experts;

    private final Optional<DType> dtype;

    /// @param dtype of weights, where it is not the source's
    RankHoldings(
            WriteRequest request,
            TargetJob job,
            Ranks target,
            ExpertPlaces experts,
            Optional<String> dtype) {
        this.dtype = dtype.map(RankHoldings::dtypeOf);
        this.experts = experts;
        for (int mp = 0; mp < target.mp(); mp++) {
            ranks.add(new ArrayList<>());
            byName.add(new LinkedHashMap<>());
        }
        Set<String> others = new LinkedHashSet<>(job.shards().keySet());
        for (ParameterFacts p : request.parameters()) {
            others.remove(p.name());
            List<RankShard> shards = job.shards().getOrDefault(p.name(), List.of());
            if (shards.isEmpty()) {
                throw new RefusedException(
                        p.name(),
                        "no rank of the job holds it",
                        "a holder for every parameter",
                        "give its layout in a spec, or `drop` it there");
            }
            shards.forEach(shard -> place(p, shard, target));
        }
        if (!others.isEmpty()) {
            throw new IllegalArgumentException(
                    "the job holds '%s', which is no parameter".formatted(others));
        }
    }

    private void place(ParameterFacts of, RankShard shard, Ranks target) {
        int mp = shard.at().on("pp") * target.tp() + shard.at().on("tp");
        Held held = new Held(of, shard);
        ranks.get(mp).add(held);
        if (isOfFirst(held, mp) && byName.get(mp).put(shard.localName(), held) != null) {
            throw new IllegalArgumentException(
                    "two parameters are '%s' on rank %d".formatted(shard.localName(), mp));
        }
    }

    /// The first data-parallel rank has it, which saves the model.
    private boolean isOfFirst(Held held, int mp) {
        return !held.expert() || held.expertRank() == experts.of(mp, 0);
    }

    static DType dtypeOf(String name) {
        return switch (name) {
            case "bf16" -> DType.BFLOAT16;
            case "fp16" -> DType.FLOAT16;
            default -> DType.FLOAT32;
        };
    }

    /// Of a weight in the target. DeepSpeed casts a whole model, so what has no master can only
    /// become wider.
    ///
    /// @param now in the source
    /// @throws RefusedException where rounding it would be more than DeepSpeed does after a step
    DType dtype(Held held, DType now) {
        if (dtype.isEmpty() || !Floats.covers(now) || now == dtype.get()) {
            return now;
        }
        boolean master =
                held.trainable()
                        && held.facts()
                                .heldAs(Held.FP32)
                                .map(held.facts().states()::get)
                                .filter(DType.FLOAT32::equals)
                                .isPresent();
        if (!master && dtype.get() != DType.FLOAT32) {
            throw new RefusedException(
                    held.facts().name(),
                    "%s without an fp32 master".formatted(now.torchName()),
                    "a master to make %s weights of".formatted(dtype.get().torchName()),
                    "leave --dtype out, or --dtype fp32");
        }
        return dtype.get();
    }

    /// Of every expert-parallel rank.
    List<Held> on(int mp) {
        return ranks.get(mp);
    }

    /// What one of its expert-parallel ranks holds.
    private Stream<Held> on(int mp, int expertRank) {
        return ranks.get(mp).stream().filter(h -> !h.expert() || h.expertRank() == expertRank);
    }

    /// What the first data-parallel rank has under a name.
    Optional<Held> named(int mp, String name) {
        return Optional.ofNullable(byName.get(mp).get(name));
    }

    /// What the optimizer of a rank holds: the number of a group -> its members, groups in order,
    /// without those that have none here.
    ///
    /// @param number of a source's group
    Map<Integer, List<Held>> groups(int mp, int expertRank, IntUnaryOperator number) {
        Map<Integer, List<Held>> groups = new TreeMap<>();
        on(mp, expertRank)
                .filter(h -> h.trainable() && h.facts().optimizerGroup() >= 0)
                .forEach(
                        h ->
                                groups.computeIfAbsent(
                                                number.applyAsInt(h.facts().optimizerGroup()),
                                                _ -> new ArrayList<>())
                                        .add(h));
        return groups;
    }

    List<Held> frozen(int mp) {
        return on(mp, experts.of(mp, 0))
                .filter(h -> !h.facts().buffer() && !h.facts().trainable())
                .toList();
    }
}
