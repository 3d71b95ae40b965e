package io.ucp.bind;

import io.ucp.formats.Coordinate;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.Spec;
import io.ucp.layout.Replica;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// Parameters under several names: by the checkpoint's own word (`shared_params`), or by `tied to`.
/// They are kept once, under the canonical name; what the files hold under another name is one more
/// copy.
final class Aliases {
    /// Another name, and the parameter it stands for.
    ///
    /// @param rule pattern of the rule that ties it, absent where the checkpoint says so
    private record Tie(String alias, String canonical, Optional<NamePattern.Glob> rule) {}

    private static final String STAGE = "pp";

    private final Map<String, String> known;
    private final Map<String, List<Holding>> held = new LinkedHashMap<>();
    private final List<Tie> ties = new ArrayList<>();

    Aliases(Map<String, String> known) {
        this.known = known;
    }

    boolean isAlias(String name) {
        return known.containsKey(name);
    }

    void note(Holding holding) {
        held.computeIfAbsent(holding.name(), _ -> new ArrayList<>()).add(holding);
    }

    /// A parameter whose rule says `tied to`.
    void tie(Gathered parameter, NamePattern.Glob canonical) {
        String name = PatternText.filled(canonical, parameter.captures());
        ties.add(new Tie(parameter.name(), name, Optional.of(canonical)));
        held.put(parameter.name(), parameter.holdings());
    }

    /// Patterns of rules that say `tied to`: a tied name need not be in the files.
    Set<NamePattern> tiedPatterns(Spec spec) {
        Set<NamePattern> patterns = new HashSet<>();
        for (ParamRule rule : spec.params()) {
            for (Clause clause : rule.layout()) {
                if (clause instanceof Clause.TiedTo(NamePattern.Glob to, _)) {
                    patterns.addAll(rule.patterns());
                    for (NamePattern pattern : rule.patterns()) {
                        if (pattern instanceof NamePattern.Glob g
                                && g.isExact()
                                && to.isExact()
                                && !held.containsKey(PatternText.bare(g))) {
                            ties.add(
                                    new Tie(
                                            PatternText.bare(g),
                                            PatternText.bare(to),
                                            Optional.of(to)));
                        }
                    }
                }
            }
        }
        return patterns;
    }

    /// The parameters with their other names, and what is held under those as further copies.
    List<BoundParameter> attach(List<BoundParameter> bound, Problems problems) {
        known.forEach((alias, to) -> ties.add(new Tie(alias, to, Optional.empty())));
        Map<String, List<String>> byCanonical = new HashMap<>();
        Set<String> names = new HashSet<>();
        bound.forEach(p -> names.add(p.name()));
        for (Tie tie : ties) {
            if (!names.contains(tie.canonical) && tie.rule.isPresent()) {
                problems.error(
                        tie.rule.get().span(),
                        "no parameter '%s'; expected the one that '%s' is another name of"
                                .formatted(tie.canonical, tie.alias),
                        problems.near().hint(tie.canonical, names));
            }
            List<String> aliases =
                    byCanonical.computeIfAbsent(tie.canonical, _ -> new ArrayList<>());
            if (!aliases.contains(tie.alias)) {
                aliases.add(tie.alias);
            }
        }
        return bound.stream()
                .map(
                        p ->
                                byCanonical.containsKey(p.name())
                                        ? with(p, byCanonical.get(p.name()))
                                        : p)
                .toList();
    }

    private BoundParameter with(BoundParameter p, List<String> aliases) {
        StateLayout common = with(new StateLayout(p.shards(), p.copies()), aliases);
        Map<String, StateLayout> own = new HashMap<>();
        p.own().forEach((state, layout) -> own.put(state, with(layout, aliases)));
        return new BoundParameter(
                p.name(),
                p.shape(),
                p.realShape(),
                p.split(),
                common.shards(),
                common.copies(),
                own,
                p.frozen(),
                p.casts(),
                aliases,
                p.rule());
    }

    /// What is held under the other names, as further copies.
    private StateLayout with(StateLayout layout, List<String> aliases) {
        List<Shard> shards = new ArrayList<>(layout.shards());
        List<Replica> copies = new ArrayList<>(layout.copies());
        int own = copies.size();
        for (String alias : aliases) {
            List<Holding> holdings = held.getOrDefault(alias, List.of());
            if (holdings.isEmpty()) {
                continue;
            }
            for (int c = 0; c < own; c++) {
                boolean any = false;
                for (Shard s : layout.shards()) {
                    Optional<Coordinate> at = s.copy() == c ? place(holdings, s) : Optional.empty();
                    if (at.isPresent()) {
                        shards.add(
                                new Shard(alias, at.get(), s.shape(), s.pieces(), copies.size()));
                        any = true;
                    }
                }
                if (any) {
                    Replica same = layout.copies().get(c);
                    copies.add(same.labelled(same.label() + " as '" + alias + "'"));
                }
            }
        }
        return new StateLayout(shards, copies);
    }

    /// Where the files hold a shard under the other name: on the same rank, or (the head at the end
    /// of a pipeline whose first stage has the embeddings) on the same rank of another stage.
    private static Optional<Coordinate> place(List<Holding> holdings, Shard s) {
        if (holdings.stream().anyMatch(h -> fits(h, s.shape(), s.at()))) {
            return Optional.of(s.at());
        }
        return holdings.stream()
                .filter(h -> h.at().indices().containsKey(STAGE))
                .filter(h -> fits(h, s.shape(), s.at().with(STAGE, h.at().on(STAGE))))
                .map(h -> s.at().with(STAGE, h.at().on(STAGE)))
                .findFirst();
    }

    private static boolean fits(Holding h, Shape shape, Coordinate place) {
        return h.shape().count() == shape.count()
                && h.at().indices().entrySet().stream()
                        .allMatch(
                                e -> {
                                    Integer at = place.indices().get(e.getKey());
                                    return at == null || at.equals(e.getValue());
                                });
    }
}
