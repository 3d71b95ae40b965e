package io.ucp.lang.internal;

import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Let;
import io.ucp.lang.ast.Name;
import io.ucp.lang.diagnostic.Diagnostic;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/// Finds constants that are defined by themselves. Walks without recursion: a chain of constants
/// may be as long as the spec.
final class LetCycles {
    /// Constants of a cycle that a message names.
    private static final int SHOWN = 10;

    private final Map<String, Let> lets = new HashMap<>();
    private final List<Let> ordered;
    private final Problems problems;
    private final Set<String> done = new HashSet<>();

    LetCycles(List<Let> ordered, Problems problems) {
        this.ordered = ordered;
        this.problems = problems;
        ordered.forEach(let -> lets.putIfAbsent(let.name().text(), let));
    }

    /// One complaint a cycle, at the constant that the text defines first.
    void check() {
        ordered.forEach(let -> walk(let.name().text()));
    }

    private record Visit(String name, Deque<String> uses) {}

    private void walk(String start) {
        List<Visit> path = new ArrayList<>();
        Map<String, Integer> places = new HashMap<>();
        enter(start, path, places);
        while (!path.isEmpty()) {
            Visit visit = path.getLast();
            String next = visit.uses.poll();
            Integer place = next == null ? null : places.get(next);
            if (next == null) {
                done.add(visit.name);
                places.remove(visit.name);
                path.removeLast();
            } else if (place != null) {
                report(path.subList(place, path.size()));
            } else {
                enter(next, path, places);
            }
        }
    }

    /// @param places of the constants on the path
    private void enter(String name, List<Visit> path, Map<String, Integer> places) {
        Let let = lets.get(name);
        if (let == null || done.contains(name)) {
            return;
        }
        Set<String> uses = new LinkedHashSet<>();
        collect(let.value(), uses);
        places.put(name, path.size());
        path.add(new Visit(name, new ArrayDeque<>(uses)));
    }

    private void report(List<Visit> cycle) {
        Let first = lets.get(cycle.getFirst().name);
        if (first != null) {
            Name name = first.name();
            String message =
                    "constant '%s' is defined by itself: %s -> %s"
                            .formatted(name, shown(cycle), name);
            problems.add(Diagnostic.error(name.span(), message));
        }
    }

    /// The first and the last of a long one: there may be as many cycles as it has constants.
    private static String shown(List<Visit> cycle) {
        int left = cycle.size() - SHOWN;
        return left <= 0
                ? names(cycle)
                : "%s -> .. %,d more .. -> %s"
                        .formatted(names(cycle.subList(0, SHOWN - 1)), left, cycle.getLast().name);
    }

    private static String names(List<Visit> visits) {
        return visits.stream().map(Visit::name).collect(Collectors.joining(" -> "));
    }

    private static void collect(Expr expression, Set<String> names) {
        switch (expression) {
            case Expr.Literal _ -> {}
            case Expr.Reference(Name name) -> names.add(name.text());
            case Expr.Binary(Expr left, _, Expr right, _) -> {
                collect(left, names);
                collect(right, names);
            }
        }
    }
}
