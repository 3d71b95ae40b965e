package io.ucp.bind;

import io.ucp.bind.Rules.Chosen;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.ParamRule;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.HashMap;
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
        Map<String, Optional<Named>> names = new LinkedHashMap<>();
        for (Holding h : holdings) {
            if (aliases.isAlias(h.name())) {
                aliases.note(h);
                continue;
            }
            names.computeIfAbsent(h.name(), n -> rules.choose(n).map(Named::of))
                    .ifPresent(named -> note(named, h));
        }
        families.settle();
        for (Holding h : holdings) {
            Named named = names.getOrDefault(h.name(), Optional.empty()).orElse(null);
            if (named == null) {
                continue;
            }
            if (named.chosen.rule().param().isEmpty()) {
                dropped.putIfAbsent(h.name(), named.chosen.rule().label());
                continue;
            }
            named.meant
                    .computeIfAbsent(globals(named, h), globals -> gathered(named, globals))
                    .holdings()
                    .add(h);
        }
        return new Result(gathered, dropped);
    }

    /// A capture of a name by which it is placed.
    private record Placing(Clause clause, String captured) {}

    /// A name in the files.
    ///
    /// @param placings by the clauses of its rule that capture
    /// @param meant the parameters that it stands for, by the global values of `placings`
    private record Named(Chosen chosen, List<Placing> placings, Map<List<String>, Gathered> meant) {
        static Named of(Chosen chosen) {
            Map<String, String> captures = chosen.match().captures();
            List<Placing> placings = new ArrayList<>();
            for (Clause clause : chosen.rule().param().map(ParamRule::layout).orElse(List.of())) {
                String captured = captures.get(capture(clause));
                if (captured != null) {
                    placings.add(new Placing(clause, captured));
                }
            }
            return new Named(chosen, placings, new HashMap<>());
        }
    }

    private void note(Named named, Holding holding) {
        for (Placing p : named.placings) {
            families.note(
                    p.clause, p.captured, mesh.index(axis(p.clause), holding.at()), holding.name());
        }
    }

    private List<String> globals(Named named, Holding holding) {
        List<String> globals = new ArrayList<>(named.placings.size());
        for (Placing p : named.placings) {
            globals.add(
                    families.global(
                            p.clause, p.captured, mesh.index(axis(p.clause), holding.at())));
        }
        return globals;
    }

    private Gathered gathered(Named named, List<String> globals) {
        Map<String, String> global = new LinkedHashMap<>();
        for (int k = 0; k < globals.size(); k++) {
            global.put(capture(named.placings.get(k).clause), globals.get(k));
        }
        Map<String, String> captures = new LinkedHashMap<>(named.chosen.match().captures());
        captures.putAll(global);
        return gathered.computeIfAbsent(
                named.chosen.match().with(global), n -> Gathered.of(n, named.chosen, captures));
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
