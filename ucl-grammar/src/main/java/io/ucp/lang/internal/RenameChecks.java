package io.ucp.lang.internal;

import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Dimension;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.Part;
import io.ucp.lang.ast.RenameRule;
import io.ucp.lang.ast.RenameStep;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.Span;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/// What can be wrong with one rename.
final class RenameChecks {
    private final Problems problems;

    RenameChecks(Problems problems) {
        this.problems = problems;
    }

    void rule(RenameRule rule) {
        captures(rule);
        List<RenameStep> steps = rule.steps().stream().map(Commented::node).toList();
        Set<String> parts = new HashSet<>();
        int splits = 0;
        int joins = 0;
        int unstacks = 0;
        for (RenameStep step : steps) {
            switch (step) {
                case RenameStep.Split(_, var named, Span span) -> {
                    splits++;
                    parts(named, rule.right().size(), "right", span, splits > 1, parts);
                }
                case RenameStep.Join(_, var named, Span span) -> {
                    joins++;
                    parts(named, rule.left().size(), "left", span, joins > 1, parts);
                }
                case RenameStep.Stack(Name capture, _, Span span) -> {
                    joins++;
                    stack(rule, capture, span, joins > 1);
                }
                case RenameStep.Unstack(Name capture, _, Span span) -> {
                    unstack(rule, capture, span, unstacks++ > 0);
                }
                default -> {}
            }
            if (unstacks > 0 && step instanceof RenameStep.Split) {
                problems.add(
                        Diagnostic.error(
                                step.span(), "a split behind an unstack; expected it before"));
            }
        }
        several(rule.left(), "left", joins, "join");
        several(rule.right(), "right", splits, "split");
        steps.forEach(step -> step(step, parts));
    }

    /// One name stands for those of all that are stacked.
    private void stack(RenameRule rule, Name capture, Span span, boolean again) {
        if (again) {
            problems.add(
                    Diagnostic.error(span, "a second join or stack of one rename; expected one"));
        }
        NamePattern.Glob first = rule.left().getFirst();
        if (!captures(first, rule.captured()).contains(capture.text())) {
            String message =
                    "{%s} is not in the name on the left; expected a capture that numbers what is stacked"
                            .formatted(capture);
            problems.add(Diagnostic.error(capture.span(), message));
        }
        if (rule.left().size() > 1) {
            String message =
                    "a stack of %d names on the left; expected one".formatted(rule.left().size());
            problems.add(Diagnostic.error(rule.left().get(1).span(), message));
        }
    }

    /// Each name on the right stands for those of all that come of it.
    private void unstack(RenameRule rule, Name capture, Span span, boolean again) {
        if (again) {
            problems.add(Diagnostic.error(span, "a second unstack of one rename; expected one"));
            return;
        }
        if (captures(rule.left().getFirst(), rule.captured()).contains(capture.text())) {
            String message =
                    "{%s} is in the name on the left; expected it on the right alone, where it numbers what is unstacked"
                            .formatted(capture);
            problems.add(Diagnostic.error(rule.left().getFirst().span(), message));
        }
        for (NamePattern.Glob name : rule.right()) {
            if (!captures(name, rule.captured()).contains(capture.text())) {
                String message =
                        "{%s} is not in the name on the right; expected a capture that numbers what is unstacked"
                                .formatted(capture);
                problems.add(Diagnostic.error(name.span(), message));
            }
        }
    }

    /// Without its captures a name could not be made from one of the other side. What is stacked is
    /// counted on the left alone, what is unstacked on the right alone.
    private void captures(RenameRule rule) {
        Set<String> captured = rule.captured();
        Set<String> first = captures(rule.left().getFirst(), captured);
        rule.steps().stream()
                .map(Commented::node)
                .filter(RenameStep.Stack.class::isInstance)
                .forEach(step -> first.remove(((RenameStep.Stack) step).capture().text()));
        rule.left().stream().skip(1).forEach(name -> same(name, captures(name, captured), first));
        for (NamePattern.Glob name : rule.right()) {
            Set<String> own = captures(name, captured);
            rule.steps().stream()
                    .map(Commented::node)
                    .filter(RenameStep.Unstack.class::isInstance)
                    .map(step -> ((RenameStep.Unstack) step).capture().text())
                    .filter(counted -> !first.contains(counted))
                    .forEach(own::remove);
            same(name, own, first);
        }
    }

    private void same(NamePattern.Glob name, Set<String> own, Set<String> first) {
        if (!first.equals(own)) {
            String message =
                    "captures %s where the first name has %s; expected the same ones"
                            .formatted(shown(own), shown(first));
            problems.add(Diagnostic.error(name.span(), message));
        }
    }

    /// A number that is counted from one that no name captures is none.
    private static Set<String> captures(NamePattern.Glob name, Set<String> captured) {
        return name.captures().stream()
                .filter(captured::contains)
                .collect(Collectors.toCollection(HashSet::new));
    }

    private static String shown(Set<String> captures) {
        return captures.isEmpty()
                ? "none"
                : captures.stream()
                        .sorted()
                        .map(name -> "{" + name + "}")
                        .collect(Collectors.joining(" "));
    }

    private void parts(
            List<Part> parts, int names, String side, Span span, boolean again, Set<String> all) {
        if (again) {
            problems.add(
                    Diagnostic.error(span, "a second split or join of one rename; expected one"));
            return;
        }
        LayoutChecks.distinctParts(parts.stream().map(Part::name).toList(), problems);
        parts.forEach(part -> all.add(part.name().text()));
        if (parts.size() != names) {
            String message =
                    "%s for %s on the %s; expected a name for each part"
                            .formatted(counted(parts.size(), "part"), counted(names, "name"), side);
            problems.add(Diagnostic.error(span, message));
        }
    }

    private static String counted(int count, String what) {
        return count + " " + what + (count == 1 ? "" : "s");
    }

    private void several(List<NamePattern.Glob> names, String side, int count, String step) {
        if (names.size() > 1 && count == 0) {
            String message =
                    "%d names on the %s without a %s; expected '%s dim D (..)' with a part for each"
                            .formatted(names.size(), side, step, step);
            problems.add(Diagnostic.error(names.get(1).span(), message));
        }
    }

    private void step(RenameStep step, Set<String> parts) {
        switch (step) {
            case RenameStep.Permute(List<Dimension> order, Span span) -> permutation(order, span);
            case RenameStep.Transpose(var dims, Span span) -> {
                if (dims.filter(d -> d.first().index() == d.second().index()).isPresent()) {
                    problems.add(
                            Diagnostic.error(
                                    span, "a dimension swapped with itself; expected two"));
                }
            }
            case RenameStep.ForParts(List<Name> names, List<RenameStep> inner, _) -> {
                names.forEach(name -> knownPart(name, parts));
                inner.forEach(nested -> innerStep(nested, parts));
            }
            case RenameStep.View _,
                    RenameStep.Split _,
                    RenameStep.Join _,
                    RenameStep.Stack _,
                    RenameStep.Unstack _ -> {}
        }
    }

    private void innerStep(RenameStep step, Set<String> parts) {
        switch (step) {
            case RenameStep.View _, RenameStep.Permute _, RenameStep.Transpose _ ->
                    step(step, parts);
            case RenameStep.Split _,
                    RenameStep.Join _,
                    RenameStep.Stack _,
                    RenameStep.Unstack _,
                    RenameStep.ForParts _ ->
                    problems.add(
                            Diagnostic.error(
                                    step.span(),
                                    "'%s' inside 'for'; expected view, transpose or permute"
                                            .formatted(firstWord(step))));
        }
    }

    private static String firstWord(RenameStep step) {
        return switch (step) {
            case RenameStep.Split _ -> "split";
            case RenameStep.Join _ -> "join";
            case RenameStep.Stack _ -> "stack";
            case RenameStep.Unstack _ -> "unstack";
            case RenameStep.ForParts _ -> "for";
            case RenameStep.View _ -> "view";
            case RenameStep.Transpose _ -> "transpose";
            case RenameStep.Permute _ -> "permute";
        };
    }

    private void knownPart(Name name, Set<String> parts) {
        if (!parts.contains(name.text())) {
            String expected =
                    parts.isEmpty()
                            ? "expected a split or join that names it"
                            : "expected " + Words.oneOf(parts.stream().sorted().toList());
            String message = "unknown part '%s'; %s".formatted(name, expected);
            problems.add(Diagnostic.error(name.span(), message));
        }
    }

    private void permutation(List<Dimension> order, Span span) {
        Set<Integer> seen = new HashSet<>();
        boolean valid =
                order.stream().allMatch(dim -> dim.index() < order.size() && seen.add(dim.index()));
        if (!valid) {
            String message =
                    "(%s) is no order of dimensions; expected each of 0 to %d once"
                            .formatted(TermPrinter.dimensions(order), order.size() - 1);
            problems.add(Diagnostic.error(span, message));
        }
    }
}
