package io.ucp.bind;

import io.ucp.bind.Renamed.Side;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.lang.NameMatcher;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.RenameRule;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.NearestNames;
import io.ucp.lang.diagnostic.Span;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// Gives the parameters that a spec renames to its rules.
final class Renames {
    private final Spec spec;
    private final Numbers numbers;
    private final Problems problems;
    private final Map<String, BoundParameter> parameters = new LinkedHashMap<>();
    private final Map<String, RenameRule> taken = new HashMap<>();
    private final List<Application> applications = new ArrayList<>();

    /// A rule and the parameters that it is applied to.
    private record Application(
            RenameRule rule, Map<String, String> captures, List<BoundParameter> left) {}

    private Renames(
            Spec spec, List<BoundParameter> parameters, Numbers numbers, Problems problems) {
        this.spec = spec;
        this.numbers = numbers;
        this.problems = problems;
        parameters.forEach(p -> this.parameters.put(p.name(), p));
    }

    /// @return in the order of the rules; what is wrong with them has been said
    static List<Renamed> of(
            Spec spec, List<BoundParameter> parameters, Numbers numbers, Problems problems) {
        return new Renames(spec, parameters, numbers, problems).all();
    }

    private List<Renamed> all() {
        spec.renames().forEach(this::match);
        List<Renamed> renamed = new ArrayList<>();
        for (Application application : applications) {
            apply(application).ifPresent(renamed::add);
        }
        distinct(renamed);
        return renamed;
    }

    private static String label(RenameRule rule) {
        return line(rule).map("line %d: "::formatted).orElse("")
                + "rename "
                + PatternText.of(rule.left().getFirst());
    }

    private static Optional<Integer> line(RenameRule rule) {
        Span span = rule.span();
        return span.isKnown()
                ? Optional.of(span.source().position(span.start()).line())
                : Optional.empty();
    }

    private void match(RenameRule rule) {
        Set<Map<String, String>> seen = new LinkedHashSet<>();
        for (NamePattern.Glob pattern : rule.left()) {
            NameMatcher matcher = NameMatcher.of(pattern);
            boolean any = false;
            for (String name : parameters.keySet()) {
                Optional<Map<String, String>> captures = matcher.match(name);
                if (captures.isPresent()) {
                    any = true;
                    seen.add(captures.get());
                }
            }
            if (!any && !rule.optional() && !spec.everyRuleOptional()) {
                problems.error(
                        pattern.span(),
                        "%s matches nothing in the checkpoint; expected a parameter"
                                .formatted(PatternText.of(pattern)),
                        NearestNames.hint(PatternText.bare(pattern), parameters.keySet()));
                return;
            }
        }
        for (Map<String, String> captures : seen) {
            take(rule, captures);
        }
    }

    private void take(RenameRule rule, Map<String, String> captures) {
        List<BoundParameter> left = new ArrayList<>();
        for (NamePattern.Glob pattern : rule.left()) {
            String name = pattern.withCaptures(captures);
            BoundParameter parameter = parameters.get(name);
            if (parameter == null) {
                problems.error(
                        pattern.span(),
                        "absent",
                        name,
                        "is not in the checkpoint, and others of its rename are; expected all names"
                                + " on the left",
                        NearestNames.hint(name, parameters.keySet()));
                return;
            }
            RenameRule before = taken.get(name);
            if (before != null && !before.equals(rule)) {
                if (!spec.firstMatchWins()) {
                    problems.error(
                            pattern.span(),
                            "twice",
                            name,
                            "is renamed by %s too; expected one rename".formatted(label(before)),
                            Optional.empty());
                }
                return;
            }
            left.add(parameter);
        }
        left.forEach(p -> taken.put(p.name(), rule));
        applications.add(new Application(rule, captures, left));
    }

    private Optional<Renamed> apply(Application application) {
        RenameRule rule = application.rule();
        List<BoundParameter> left = application.left();
        Optional<RenameSteps.Outcome> outcome =
                RenameSteps.of(
                        rule,
                        left.stream().map(p -> RenamedTensor.of(p.shape(), p.realShape())).toList(),
                        left.getFirst().name(),
                        numbers,
                        problems);
        return outcome.map(o -> renamed(application, o));
    }

    private Renamed renamed(Application application, RenameSteps.Outcome outcome) {
        RenameRule rule = application.rule();
        List<Side> left = new ArrayList<>();
        for (int i = 0; i < application.left().size(); i++) {
            BoundParameter p = application.left().get(i);
            left.add(
                    new Side(
                            p.name(),
                            p.shape(),
                            p.realShape(),
                            p.split(),
                            p.aliases(),
                            outcome.toMiddle().get(i)));
        }
        List<Side> right = new ArrayList<>();
        for (int j = 0; j < rule.right().size(); j++) {
            RenamedTensor tensor = outcome.right().get(j);
            right.add(
                    new Side(
                            rule.right().get(j).withCaptures(application.captures()),
                            tensor.shape(),
                            tensor.real(),
                            split(application, outcome, tensor),
                            aliases(application, j),
                            Renamed.back(tensor.moves())));
        }
        return new Renamed(left, right, label(rule));
    }

    private static Split split(
            Application application, RenameSteps.Outcome outcome, RenamedTensor tensor) {
        if (application.rule().steps().isEmpty()) {
            return application.left().getFirst().split();
        }
        return RenamedSplit.of(
                application.left().stream().map(BoundParameter::split).toList(), outcome, tensor);
    }

    /// Other names of a parameter are renamed by the same rule where it matches them; else a plain
    /// rename leaves them, and of another kind of rename they are no names any more.
    private List<String> aliases(Application application, int j) {
        RenameRule rule = application.rule();
        if (rule.left().size() > 1) {
            return List.of();
        }
        List<String> aliases = new ArrayList<>();
        for (String alias : application.left().getFirst().aliases()) {
            Optional<String> renamed =
                    NameMatcher.of(rule.left().getFirst())
                            .match(alias)
                            .map(captures -> rule.right().get(j).withCaptures(captures))
                            .or(() -> plainly(alias));
            renamed.or(() -> rule.steps().isEmpty() ? Optional.of(alias) : Optional.empty())
                    .ifPresent(aliases::add);
        }
        return aliases;
    }

    /// By a rule of its own, where that changes nothing but names.
    private Optional<String> plainly(String alias) {
        return spec.renames().stream()
                .filter(r -> r.steps().isEmpty() && r.left().size() == 1 && r.right().size() == 1)
                .flatMap(
                        r ->
                                NameMatcher.of(r.left().getFirst())
                                        .match(alias)
                                        .map(c -> r.right().getFirst().withCaptures(c))
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
                            rule == null ? spec.span() : rule.right().get(j).span(),
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
