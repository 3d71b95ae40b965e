package io.ucp.bind;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.HeldTensor;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.Statement;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// A family's spec with the number of layers that each pipeline stage of a checkpoint holds, where
/// they are not equally many: the first or the last stage has fewer, or a layout of one's own.
final class HeldStages {
    private static final String STAGE = "pp";

    private final int stages;

    /// Local name -> the stages that hold it.
    private final Map<String, Set<Integer>> places = new HashMap<>();

    HeldStages(CheckpointIndex index) {
        this.stages = index.degree(STAGE);
        if (stages == 1) {
            return;
        }
        for (HeldTensor held : index.tensors()) {
            Integer at = held.at().indices().get(STAGE);
            if (at != null) {
                places.computeIfAbsent(held.name(), _ -> new TreeSet<>()).add(at);
            }
        }
    }

    /// The spec itself where the stages hold equally many, or where layers are not held in
    /// consecutive runs: then binding it says so.
    Spec in(Spec spec) {
        Optional<List<Integer>> runs = stages > 1 ? counts(spec) : Optional.empty();
        if (runs.isEmpty() || Collections.max(runs.get()).equals(Collections.min(runs.get()))) {
            return spec;
        }
        List<Expr> counts = runs.get().stream().map(n -> Expr.of(n.longValue())).toList();
        long chunks = runs.get().size() / stages;
        List<Commented<Statement>> statements = new ArrayList<>();
        for (Commented<Statement> s : spec.statements()) {
            statements.add(
                    s.node() instanceof ParamRule rule
                            ? new Commented<>(with(rule, counts, chunks), s.comments())
                            : s);
        }
        return new Spec(spec.version(), statements, spec.comments(), spec.span());
    }

    private static ParamRule with(ParamRule rule, List<Expr> counts, long chunks) {
        List<Commented<Clause>> clauses = new ArrayList<>();
        for (Commented<Clause> c : rule.clauses()) {
            clauses.add(
                    c.node() instanceof Clause.StageOf s && s.counts().isEmpty()
                            ? new Commented<>(
                                    new Clause.StageOf(
                                            s.capture(),
                                            s.axis(),
                                            Optional.of(counts),
                                            chunks > 1
                                                    ? Optional.of(Expr.of(chunks))
                                                    : Optional.empty(),
                                            s.renumbered(),
                                            s.span()),
                                    c.comments())
                            : c);
        }
        return new ParamRule(
                rule.optional(),
                rule.fallback(),
                rule.patterns(),
                rule.shape(),
                clauses,
                rule.span());
    }

    /// Layers of each chunk, the first chunk of every stage first; a chunk may have none.
    private Optional<List<Integer>> counts(Spec spec) {
        List<Integer> counts = new ArrayList<>();
        int stage = -1;
        NavigableMap<Long, Integer> layers = stageByLayer(spec);
        // DeepSpeed's modules count the embedding too.
        long next = layers.isEmpty() ? 0 : layers.firstKey();
        for (Map.Entry<Long, Integer> layer : layers.entrySet()) {
            if (layer.getKey() != next++ || layer.getValue() < 0) {
                return Optional.empty();
            }
            if (layer.getValue() != stage || counts.isEmpty()) {
                do {
                    counts.add(0);
                } while ((counts.size() - 1) % stages != layer.getValue());
                stage = layer.getValue();
            }
            counts.set(counts.size() - 1, counts.getLast() + 1);
        }
        while (!counts.isEmpty() && counts.size() % stages != 0) {
            counts.add(0);
        }
        return counts.isEmpty() ? Optional.empty() : Optional.of(counts);
    }

    /// -1 for a layer on two stages.
    private NavigableMap<Long, Integer> stageByLayer(Spec spec) {
        NavigableMap<Long, Integer> byLayer = new TreeMap<>();
        for (ParamRule rule : spec.params()) {
            Optional<Clause.StageOf> clause =
                    rule.layout().stream()
                            .filter(Clause.StageOf.class::isInstance)
                            .map(Clause.StageOf.class::cast)
                            .findFirst();
            if (clause.isEmpty()) {
                continue;
            }
            List<RulePattern> patterns = rule.patterns().stream().map(RulePattern::of).toList();
            String capture = clause.get().capture().text();
            places.forEach(
                    (name, at) -> {
                        for (RulePattern pattern : patterns) {
                            String layer =
                                    pattern.match(name)
                                            .map(m -> m.captures().get(capture))
                                            .orElse("");
                            if (NameTemplate.isNumber(layer)) {
                                int only = at.size() == 1 ? at.iterator().next() : -1;
                                byLayer.merge(
                                        Long.parseLong(layer),
                                        only,
                                        (a, b) -> a.equals(b) ? a : -1);
                            }
                        }
                    });
        }
        return byLayer;
    }
}
