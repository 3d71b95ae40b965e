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
import java.util.List;
import java.util.Map;
import java.util.Set;

/// Finds constants that are defined by themselves. Walks without recursion: a chain of constants
/// may be as long as the spec.
final class LetCycles {
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
        Deque<Visit> path = new ArrayDeque<>();
        Set<String> onPath = new HashSet<>();
        enter(start, path, onPath);
        while (!path.isEmpty()) {
            Visit visit = path.getLast();
            String next = visit.uses.poll();
            if (next == null) {
                done.add(visit.name);
                onPath.remove(visit.name);
                path.removeLast();
            } else if (onPath.contains(next)) {
                report(next, path);
            } else {
                enter(next, path, onPath);
            }
        }
    }

    private void enter(String name, Deque<Visit> path, Set<String> onPath) {
        Let let = lets.get(name);
        if (let == null || done.contains(name)) {
            return;
        }
        Deque<String> uses = new ArrayDeque<>();
        collect(let.value(), uses);
        path.add(new Visit(name, uses));
        onPath.add(name);
    }

    private void report(String again, Deque<Visit> path) {
        List<String> names = new ArrayList<>();
        path.forEach(visit -> names.add(visit.name));
        List<String> cycle = new ArrayList<>(names.subList(names.indexOf(again), names.size()));
        cycle.add(again);
        Let first = lets.get(again);
        if (first != null) {
            Name name = first.name();
            String message =
                    "constant '%s' is defined by itself: %s"
                            .formatted(name, String.join(" -> ", cycle));
            problems.add(Diagnostic.error(name.span(), message));
        }
    }

    private static void collect(Expr expression, Deque<String> names) {
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
