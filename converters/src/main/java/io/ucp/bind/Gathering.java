package io.ucp.bind;

import io.ucp.bind.Rules.Chosen;
import io.ucp.lang.ast.Clause;
import io.ucp.mesh.Mesh;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Gives every name in the files to its rule, and what the ranks hold under it to the parameter
/// that it means: names that are numbered per rank become global ones.
final class Gathering {
    /// @param parameters by their global names
    /// @param dropped local names, with the rule that drops each
    record Result(Map<String, Gathered> parameters, Map<String, String> dropped) {}

    private final Mesh mesh;
    private final Rules rules;
    private final Families families;
    private final Aliases aliases;
    private final Map<String, Gathered> gathered = new LinkedHashMap<>();
    private final Map<String, String> dropped = new LinkedHashMap<>();

    Gathering(Mesh mesh, Rules rules, Families families, Aliases aliases) {
        this.mesh = mesh;
        this.rules = rules;
        this.families = families;
        this.aliases = aliases;
    }

    /// Gives every name to its rule and every holding to its parameter.
    Result of(List<Holding> holdings) {
        Map<String, Optional<Chosen>> chosen = new LinkedHashMap<>();
        for (Holding h : holdings) {
            if (aliases.isAlias(h.name())) {
                aliases.note(h);
                continue;
            }
            chosen.computeIfAbsent(h.name(), rules::choose).ifPresent(c -> note(c, h));
        }
        families.settle();
        for (Holding h : holdings) {
            Chosen c = chosen.getOrDefault(h.name(), Optional.empty()).orElse(null);
            if (c == null) {
                continue;
            }
            if (c.rule().param().isEmpty()) {
                dropped.putIfAbsent(h.name(), c.rule().label());
                continue;
            }
            Map<String, String> global = globalCaptures(c, h);
            String name = c.match().with(global);
            Map<String, String> captures = new LinkedHashMap<>(c.match().captures());
            captures.putAll(global);
            gathered.computeIfAbsent(name, n -> Gathered.of(n, c, captures)).holdings().add(h);
        }
        return new Result(gathered, dropped);
    }

    private void note(Chosen chosen, Holding holding) {
        for (Clause clause : placings(chosen)) {
            String captured = chosen.match().captures().get(capture(clause));
            if (captured != null) {
                families.note(
                        clause, captured, mesh.index(axis(clause), holding.at()), holding.name());
            }
        }
    }

    private Map<String, String> globalCaptures(Chosen chosen, Holding holding) {
        Map<String, String> global = new LinkedHashMap<>();
        for (Clause clause : placings(chosen)) {
            String captured = chosen.match().captures().get(capture(clause));
            if (captured != null) {
                global.put(
                        capture(clause),
                        families.global(clause, captured, mesh.index(axis(clause), holding.at())));
            }
        }
        return global;
    }

    private static List<Clause> placings(Chosen chosen) {
        return chosen.rule().param().stream()
                .flatMap(p -> p.layout().stream())
                .filter(c -> c instanceof Clause.StageOf || c instanceof Clause.Expert)
                .toList();
    }

    private static String capture(Clause clause) {
        return clause instanceof Clause.StageOf s
                ? s.capture().text()
                : clause instanceof Clause.Expert e ? e.capture().text() : "";
    }

    private static String axis(Clause clause) {
        return clause instanceof Clause.StageOf s
                ? s.axis().text()
                : clause instanceof Clause.Expert e ? e.axis().text() : "";
    }
}
