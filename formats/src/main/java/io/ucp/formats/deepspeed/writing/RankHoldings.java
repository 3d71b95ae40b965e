package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RankShard;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;
import io.ucp.formats.WriteRequest;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/// What every model-parallel rank of the target holds, in the order of the source's parameters.
final class RankHoldings {
    private final List<List<Held>> ranks = new ArrayList<>();
    private final List<Map<String, Held>> byName = new ArrayList<>();

    RankHoldings(WriteRequest request, TargetJob job, Ranks target) {
        Map<String, ParameterFacts> facts = new HashMap<>();
        request.parameters().forEach(p -> facts.put(p.name(), p));
        for (int mp = 0; mp < target.mp(); mp++) {
            ranks.add(new ArrayList<>());
            byName.add(new LinkedHashMap<>());
        }
        job.shards()
                .forEach(
                        (name, shards) -> {
                            ParameterFacts of = facts.get(name);
                            if (of == null) {
                                throw new IllegalArgumentException(
                                        "the job holds '%s', which is no parameter"
                                                .formatted(name));
                            }
                            shards.forEach(shard -> place(of, shard, target));
                        });
        for (ParameterFacts p : request.parameters()) {
            if (!job.shards().containsKey(p.name()) || job.shards().get(p.name()).isEmpty()) {
                throw new RefusedException(
                        p.name(),
                        "no rank of the job holds it",
                        "a holder for every parameter",
                        "give its layout in a spec, or `drop` it there");
            }
        }
    }

    private void place(ParameterFacts of, RankShard shard, Ranks target) {
        if (shard.at().indices().getOrDefault("ep", 0) != 0) {
            throw new RefusedException(
                    of.name(),
                    "an expert of expert-parallel rank " + shard.at().on("ep"),
                    "a model without experts",
                    "--to universal keeps it; experts are not laid out anew yet");
        }
        int mp = shard.at().on("pp") * target.tp() + shard.at().on("tp");
        Held held = new Held(of, shard);
        ranks.get(mp).add(held);
        if (byName.get(mp).put(shard.localName(), held) != null) {
            throw new IllegalArgumentException(
                    "two parameters are '%s' on rank %d".formatted(shard.localName(), mp));
        }
    }

    List<Held> on(int mp) {
        return ranks.get(mp);
    }

    Optional<Held> named(int mp, String name) {
        return Optional.ofNullable(byName.get(mp).get(name));
    }

    /// What the optimizer of a rank holds: the source's number of a group -> its members, groups in
    /// order, without those that have none here.
    Map<Integer, List<Held>> groups(int mp) {
        Map<Integer, List<Held>> groups = new TreeMap<>();
        for (Held held : ranks.get(mp)) {
            if (held.trainable() && held.facts().optimizerGroup() >= 0) {
                groups.computeIfAbsent(held.facts().optimizerGroup(), _ -> new ArrayList<>())
                        .add(held);
            }
        }
        return groups;
    }

    List<Held> frozen(int mp) {
        return ranks.get(mp).stream()
                .filter(h -> !h.facts().buffer() && !h.facts().trainable())
                .toList();
    }
}
