package io.ucp.bind;

import io.ucp.bind.Renamed.Side;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.lang.NameMatcher;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern.Glob;
import io.ucp.lang.ast.RenameRule;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Span;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// Gives the parameters that a spec renames to its rules: from the names on the left to those on
/// the right, or back.
final class Renames {
    private final Spec spec;
    private final List<RenameRule> rules;
    private final Stacks stacks;
    private final Numbers numbers;
    private final Problems problems;
    private final boolean back;
    private final DeclaredShapes declared;
    private final Map<String, Side> parameters = new LinkedHashMap<>();
    private final Map<String, RenameRule> taken = new HashMap<>();
    private final List<Application> applications = new ArrayList<>();
    private final Map<Glob, NameMatcher> matchers = new HashMap<>();

    /// A rule and the parameters that it is applied to.
    private record Application(RenameRule rule, Map<String, String> captures, List<Side> held) {}

    private Renames(
            Spec spec, List<Side> parameters, Numbers numbers, Problems problems, boolean back) {
        this.spec = spec;
        this.numbers = numbers;
        this.problems = problems;
        this.back = back;
        this.declared = new DeclaredShapes(spec, numbers);
        this.stacks = new Stacks(numbers, problems);
        this.rules =
                spec.renames().stream()
                        .flatMap(rule -> counted(rule).stream())
                        .flatMap(rule -> stacks.each(rule).stream())
                        .toList();
        parameters.forEach(p -> this.parameters.put(p.name(), p));
    }

    /// From left to right.
    ///
    /// @return in the order of the rules; what is wrong with them has been said
    static List<Renamed> of(Spec spec, List<Side> parameters, Numbers numbers, Problems problems) {
        return new Renames(spec, parameters, numbers, problems, false).all();
    }

    /// From right to left. Where a rule changes more than names, the shape on the left is the one
    /// that a `param` rule declares.
    ///
    /// @return in the order of the rules, what is held on the left; what is wrong with them has
    ///   been said
    static List<Renamed> back(
            Spec spec, List<Side> parameters, Numbers numbers, Problems problems) {
        return new Renames(spec, parameters, numbers, problems, true).all();
    }

    private List<Renamed> all() {
        rules.forEach(this::match);
        List<Renamed> renamed = new ArrayList<>();
        for (Application application : applications) {
            apply(application).ifPresent(renamed::add);
        }
        distinct(renamed);
        return renamed;
    }

    /// The names on the side that the parameters are on.
    private List<Glob> from(RenameRule rule) {
        return back ? rule.right() : rule.left();
    }

    private List<Glob> to(RenameRule rule) {
        return back ? rule.left() : rule.right();
    }

    private String label(RenameRule rule) {
        return line(rule).map("line %d: "::formatted).orElse("")
                + "rename "
                + PatternText.of(patterns(rule).getFirst());
    }

    private static Optional<Integer> line(RenameRule rule) {
        Span span = rule.span();
        return span.isKnown()
                ? Optional.of(span.source().position(span.start()).line())
                : Optional.empty();
    }

    /// With numbers in place of constants that names count from; nothing where one is not known.
    private Optional<RenameRule> counted(RenameRule rule) {
        Set<String> captured = rule.captured();
        Map<String, Long> known = new HashMap<>();
        for (Glob name : Stream.concat(rule.left().stream(), rule.right().stream()).toList()) {
            for (String counted : name.captures()) {
                if (captured.contains(counted)) {
                    continue;
                }
                var value = numbers.value(new Expr.Reference(new Name(counted, name.span())));
                if (value.isEmpty()) {
                    return Optional.empty();
                }
                known.put(counted, value.getAsLong());
            }
        }
        return Optional.of(
                known.isEmpty()
                        ? rule
                        : new RenameRule(
                                rule.optional(),
                                rule.left().stream().map(g -> g.with(known)).toList(),
                                rule.right().stream().map(g -> g.with(known)).toList(),
                                rule.steps(),
                                rule.span()));
    }

    /// What is looked for: of a stack the one name that stands for all.
    private List<Glob> patterns(RenameRule rule) {
        return stacks.names(rule, back);
    }

    private void match(RenameRule rule) {
        Map<Map<String, String>, String> seen = new LinkedHashMap<>();
        for (Glob pattern : patterns(rule)) {
            NameMatcher matcher = matcher(pattern);
            boolean any = false;
            for (String name : parameters.keySet()) {
                Optional<Map<String, String>> captures = matcher.match(name);
                if (captures.isPresent()) {
                    captures = stacks.captures(rule, back, captures.get(), name);
                }
                if (captures.isPresent()) {
                    any = true;
                    seen.putIfAbsent(captures.get(), name);
                }
            }
            if (!any && !rule.optional() && !spec.everyRuleOptional()) {
                problems.error(
                        pattern.span(),
                        "%s matches nothing in the checkpoint; expected a parameter"
                                .formatted(PatternText.of(pattern)),
                        problems.near().hint(PatternText.bare(pattern), parameters.keySet()));
                return;
            }
        }
        seen.forEach(
                (captures, name) -> {
                    if (leadsBack(rule, captures, name)) {
                        take(rule, captures);
                    }
                });
    }

    private NameMatcher matcher(Glob name) {
        return matchers.computeIfAbsent(name, NameMatcher::of);
    }

    /// Whether the captures of a name can be read again from every name of its rename, on either
    /// side: else the way back would end at another name.
    private boolean leadsBack(RenameRule rule, Map<String, String> captures, String name) {
        for (Glob other : Stream.concat(rule.left().stream(), rule.right().stream()).toList()) {
            if (matcher(other).name(captures).isEmpty()) {
                problems.error(
                        from(rule).getFirst().span(),
                        "back",
                        name,
                        "gives %s, which %s would not give back; expected captures that both names give"
                                .formatted(
                                        captures.entrySet().stream()
                                                .map(
                                                        c ->
                                                                "{%s} = '%s'"
                                                                        .formatted(
                                                                                c.getKey(),
                                                                                c.getValue()))
                                                .collect(Collectors.joining(", ")),
                                        PatternText.of(other)),
                        Optional.of(
                                "a number that another counts from has no zeros before it and is"
                                        + " not below 0 on either side; narrow the pattern where it"
                                        + " should not mean this name"));
                return false;
            }
        }
        return true;
    }

    private void take(RenameRule rule, Map<String, String> captures) {
        List<Side> held = new ArrayList<>();
        for (Glob pattern : from(rule)) {
            String name = pattern.withCaptures(captures);
            Side parameter = parameters.get(name);
            if (parameter == null) {
                problems.error(
                        pattern.span(),
                        "absent",
                        name,
                        "is not in the checkpoint, and others of its rename are; expected all names"
                                + " on the "
                                + (back ? "right" : "left"),
                        problems.near().hint(name, parameters.keySet()));
                return;
            }
            RenameRule before = held.contains(parameter) ? rule : taken.get(name);
            if (before != null) {
                if (before.equals(rule) || !spec.firstMatchWins()) {
                    problems.error(
                            pattern.span(),
                            "twice",
                            name,
                            "is renamed by %s too; expected one rename".formatted(label(before)),
                            Optional.empty());
                }
                return;
            }
            held.add(parameter);
        }
        held.forEach(p -> taken.put(p.name(), rule));
        applications.add(new Application(rule, captures, held));
    }

    private Optional<Renamed> apply(Application application) {
        return back ? returned(application) : renamed(application);
    }

    private Optional<Renamed> renamed(Application application) {
        RenameRule rule = application.rule();
        List<Side> left = application.held();
        return steps(rule, left)
                .map(
                        outcome -> {
                            List<Side> right = new ArrayList<>();
                            for (int j = 0; j < rule.right().size(); j++) {
                                RenamedTensor tensor = outcome.right().get(j);
                                right.add(
                                        new Side(
                                                rule.right()
                                                        .get(j)
                                                        .withCaptures(application.captures()),
                                                tensor.shape(),
                                                tensor.real(),
                                                split(rule, left, outcome, tensor),
                                                aliases(application, j),
                                                Renamed.back(tensor.moves())));
                            }
                            return new Renamed(moved(left, outcome), right, label(rule));
                        });
    }

    /// The way there, from the shapes that are declared, turned round.
    private Optional<Renamed> returned(Application application) {
        RenameRule rule = application.rule();
        List<Side> held = application.held();
        List<Side> left = new ArrayList<>();
        for (int i = 0; i < rule.left().size(); i++) {
            Glob pattern = rule.left().get(i);
            String name = pattern.withCaptures(application.captures());
            List<String> aliases = aliases(application, i);
            if (rule.steps().isEmpty()) {
                Side same = held.getFirst();
                left.add(
                        new Side(
                                name,
                                same.shape(),
                                same.realShape(),
                                same.split(),
                                aliases,
                                List.of()));
                continue;
            }
            Optional<Shape> shape = declared.of(name);
            if (shape.isEmpty()) {
                problems.error(
                        pattern.span(),
                        "undeclared",
                        name,
                        "has no declared shape, from which '%s' could be taken back; expected a"
                                        .formatted(held.getFirst().name())
                                + " 'param' rule with one",
                        Optional.empty());
                return Optional.empty();
            }
            left.add(new Side(name, shape.get(), shape.get(), Split.UNKNOWN, aliases, List.of()));
        }
        return steps(rule, left)
                .filter(outcome -> fits(rule, held, outcome))
                .map(
                        outcome -> {
                            List<Side> right = new ArrayList<>();
                            for (int j = 0; j < held.size(); j++) {
                                right.add(
                                        held.get(j)
                                                .by(Renamed.back(outcome.right().get(j).moves())));
                            }
                            return new Renamed(right, moved(left, outcome), label(rule));
                        });
    }

    private boolean fits(RenameRule rule, List<Side> held, RenameSteps.Outcome outcome) {
        for (int j = 0; j < held.size(); j++) {
            Shape expected = outcome.right().get(j).shape();
            if (!held.get(j).shape().equals(expected)) {
                problems.error(
                        rule.right().get(j).span(),
                        "shape",
                        held.get(j).name(),
                        "has shape %s; expected %s, as the declared shape on the left gives"
                                .formatted(held.get(j).shape(), expected),
                        Optional.empty());
                return false;
            }
        }
        return true;
    }

    private static List<Side> moved(List<Side> sides, RenameSteps.Outcome outcome) {
        List<Side> moved = new ArrayList<>();
        for (int i = 0; i < sides.size(); i++) {
            moved.add(sides.get(i).by(outcome.toMiddle().get(i)));
        }
        return moved;
    }

    private Optional<RenameSteps.Outcome> steps(RenameRule rule, List<Side> left) {
        return RenameSteps.of(
                rule,
                left.stream().map(p -> RenamedTensor.of(p.shape(), p.realShape())).toList(),
                left.getFirst().name(),
                numbers,
                problems);
    }

    private static Split split(
            RenameRule rule, List<Side> left, RenameSteps.Outcome outcome, RenamedTensor tensor) {
        if (rule.steps().isEmpty()) {
            return left.getFirst().split();
        }
        return RenamedSplit.of(left.stream().map(Side::split).toList(), outcome, tensor);
    }

    /// Other names of a parameter are renamed by the same rule where it matches them; else a plain
    /// rename leaves them, and of another kind of rename they are no names any more.
    private List<String> aliases(Application application, int j) {
        RenameRule rule = application.rule();
        if (from(rule).size() > 1) {
            return List.of();
        }
        List<String> aliases = new ArrayList<>();
        for (String alias : application.held().getFirst().aliases()) {
            Optional<String> renamed =
                    matcher(from(rule).getFirst())
                            .match(alias)
                            .flatMap(captures -> matcher(to(rule).get(j)).name(captures))
                            .or(() -> plainly(alias));
            renamed.or(() -> rule.steps().isEmpty() ? Optional.of(alias) : Optional.empty())
                    .ifPresent(aliases::add);
        }
        return aliases;
    }

    /// By a rule of its own, where that changes nothing but names.
    private Optional<String> plainly(String alias) {
        return rules.stream()
                .filter(r -> r.steps().isEmpty() && r.left().size() == 1 && r.right().size() == 1)
                .flatMap(
                        r ->
                                matcher(from(r).getFirst())
                                        .match(alias)
                                        .flatMap(c -> matcher(to(r).getFirst()).name(c))
                                        .stream())
                .findFirst();
    }

    /// No two parameters may come to have one name.
    private void distinct(List<Renamed> renamed) {
        Map<String, String> owners = new HashMap<>();
        for (String name : parameters.keySet()) {
            if (!taken.containsKey(name)) {
                owners.put(name, "the checkpoint's parameter of that name");
            }
        }
        for (Renamed each : renamed) {
            String own = "'%s'".formatted(each.left().getFirst().name());
            for (int j = 0; j < each.right().size(); j++) {
                String name = each.right().get(j).name();
                String other = owners.putIfAbsent(name, own);
                if (other != null) {
                    RenameRule rule = taken.get(each.left().getFirst().name());
                    problems.error(
                            rule == null ? spec.span() : to(rule).get(j).span(),
                            "collision",
                            each.left().getFirst().name(),
                            "becomes '%s', and so does %s; expected a name for each"
                                    .formatted(name, other),
                            Optional.empty());
                }
            }
        }
    }
}
