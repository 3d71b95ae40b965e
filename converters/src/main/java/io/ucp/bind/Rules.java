package io.ucp.bind;

import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.DropRule;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.Statement;
import io.ucp.lang.diagnostic.Span;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;

/// Which rule of a spec decides over a name. An exact name goes before a pattern, a pattern before
/// a `default` rule; with `first match wins` the rule that is written first goes before all others.
final class Rules {
    /// A `param` or `drop` statement.
    ///
    /// @param param absent for `drop`
    /// @param span of the whole rule
    record Rule(
            Optional<ParamRule> param,
            List<RulePattern> patterns,
            boolean optional,
            boolean fallback,
            Span span) {
        /// `line 12: param "7.weight"`, for messages.
        String label() {
            String line =
                    span.isKnown()
                            ? "line %d: ".formatted(span.source().position(span.start()).line())
                            : "";
            return line
                    + (param.isPresent() ? "param " : "drop ")
                    + PatternText.of(patterns.getFirst().pattern());
        }
    }

    /// @param pattern the one of the rule's patterns that matches
    record Chosen(Rule rule, RulePattern pattern, RulePattern.Match match) {
        int rank() {
            return rule.fallback ? 0 : pattern.isExact() ? 2 : 1;
        }

        Span span() {
            return pattern.pattern().span();
        }
    }

    private final List<Rule> rules = new ArrayList<>();
    private final boolean firstMatchWins;
    private final boolean everyRuleOptional;
    private final Problems problems;
    private final Set<NamePattern> used = new HashSet<>();
    private final Map<String, List<String>> unmatched = new LinkedHashMap<>();
    private final List<NamePattern> unused = new ArrayList<>();

    Rules(Spec spec, Problems problems) {
        this.problems = problems;
        this.firstMatchWins = spec.firstMatchWins();
        this.everyRuleOptional = spec.everyRuleOptional();
        for (Statement statement : spec.statements().stream().map(Commented::node).toList()) {
            if (statement instanceof ParamRule p) {
                rules.add(
                        new Rule(
                                Optional.of(p),
                                compiled(p.patterns()),
                                p.optional(),
                                p.fallback(),
                                p.span()));
            } else if (statement instanceof DropRule d) {
                rules.add(
                        new Rule(
                                Optional.empty(),
                                compiled(d.patterns()),
                                d.optional(),
                                false,
                                d.span()));
            }
        }
    }

    private static List<RulePattern> compiled(List<NamePattern> patterns) {
        return patterns.stream().map(RulePattern::of).toList();
    }

    /// The rule for a name. Where none matches, that is kept for [#reportUnmatched].
    Optional<Chosen> choose(String name) {
        List<Chosen> matching = rules.stream().flatMap(r -> match(r, name).stream()).toList();
        matching.forEach(c -> used.add(c.pattern.pattern()));
        if (matching.isEmpty()) {
            unmatched.computeIfAbsent(NameTemplate.of(name), _ -> new ArrayList<>()).add(name);
            return Optional.empty();
        }
        int rank = matching.stream().mapToInt(Chosen::rank).max().orElseThrow();
        if (firstMatchWins) {
            return matching.stream().filter(c -> (c.rank() == 0) == (rank == 0)).findFirst();
        }
        List<Chosen> best = matching.stream().filter(c -> c.rank() == rank).toList();
        if (best.size() > 1) {
            Chosen second = best.get(1);
            problems.error(
                    second.span(),
                    "twice",
                    name,
                    "is matched by two rules, %s and %s; expected one"
                            .formatted(best.getFirst().rule.label(), second.rule.label()),
                    Optional.of(
                            "narrow one of the patterns, make one a 'default' rule, or say 'first"
                                    + " match wins'"));
        }
        return Optional.of(best.getFirst());
    }

    private static Optional<Chosen> match(Rule rule, String name) {
        Optional<Chosen> best = Optional.empty();
        for (RulePattern pattern : rule.patterns) {
            Optional<Chosen> here = pattern.match(name).map(m -> new Chosen(rule, pattern, m));
            if (here.isPresent() && (best.isEmpty() || here.get().rank() > best.get().rank())) {
                best = here;
            }
        }
        return best;
    }

    /// Says which patterns match nothing of the checkpoint.
    ///
    /// @param names of the checkpoint
    /// @param excused patterns that need not match: other names of tied parameters
    void reportUnused(Set<String> names, Set<NamePattern> excused) {
        if (everyRuleOptional) {
            return;
        }
        Map<String, String> templates = new HashMap<>();
        names.forEach(n -> templates.putIfAbsent(NameTemplate.of(n), n));
        for (Rule rule : rules) {
            for (RulePattern pattern : rule.patterns) {
                NamePattern written = pattern.pattern();
                if (rule.optional
                        || rule.fallback
                        || used.contains(written)
                        || excused.contains(written)) {
                    continue;
                }
                unused.add(written);
                Optional<String> near =
                        problems.near()
                                .hint(
                                        PatternText.bare(written),
                                        pattern.isExact() ? names : templates.keySet());
                problems.error(
                        written.span(),
                        "%s matches nothing in the checkpoint; expected a parameter"
                                .formatted(PatternText.of(written)),
                        Optional.of(
                                near.orElse(
                                        "write 'optional' before a rule that may match nothing")));
            }
        }
    }

    /// How many findings make a spec another model's rather than one with a slip.
    private static final int MISFIT = 3;

    /// How far a spec is from fitting.
    enum Fit {
        /// But for what is said one by one.
        CLOSE,
        /// A sum behind what is said one by one helps.
        POOR,
        /// It is of another model: most names have no rule, or most patterns no name.
        OTHER
    }

    /// @param names of the checkpoint
    Fit fit(Set<String> names) {
        if (unused.size() + unmatched.size() < MISFIT) {
            return Fit.CLOSE;
        }
        return 2 * alone() > names.size() || 2L * unused.size() > patterns() ? Fit.OTHER : Fit.POOR;
    }

    /// Of the first pattern that matches nothing.
    Span place() {
        return unused.isEmpty() ? Span.NONE : unused.getFirst().span();
    }

    private long alone() {
        return unmatched.values().stream().mapToLong(List::size).sum();
    }

    private long patterns() {
        return rules.stream().mapToLong(r -> r.patterns.size()).sum();
    }

    /// In one line, where much does not fit: which patterns match nothing and which names have no
    /// rule.
    ///
    /// @param names of the checkpoint
    String misfit(Set<String> names) {
        List<String> parts = new ArrayList<>();
        if (!unused.isEmpty()) {
            parts.add(
                    "%d of its %d patterns match nothing (%s)"
                            .formatted(
                                    unused.size(),
                                    patterns(),
                                    Listing.of(unused.stream().map(PatternText::bare).toList())));
        }
        if (alone() > 0) {
            parts.add(
                    "%d of the %d names have no rule (%s)"
                            .formatted(
                                    alone(),
                                    names.size(),
                                    Listing.of(List.copyOf(unmatched.keySet()))));
        }
        return "the spec does not fit the checkpoint: %s; expected a rule for every name"
                .formatted(String.join(", ", parts));
    }

    /// Says which names no rule matches, those that differ in numbers only together.
    ///
    /// @param place where a name is held, for the message
    /// @param fallback span of the spec where there are no rules
    void reportUnmatched(UnaryOperator<String> place, Span fallback) {
        List<String> texts =
                rules.stream()
                        .flatMap(r -> r.patterns.stream())
                        .map(p -> PatternText.bare(p.pattern()))
                        .toList();
        unmatched.forEach(
                (template, names) -> {
                    String first = names.getFirst();
                    List<String> near = problems.near().of(template, texts, 1);
                    if (near.isEmpty()) {
                        near = problems.near().of(first, texts, 1);
                    }
                    Optional<NamePattern> pattern =
                            near.stream().findFirst().flatMap(this::written);
                    String more =
                            names.size() == 1
                                    ? ""
                                    : " and %d more like it".formatted(names.size() - 1);
                    problems.error(
                            pattern.map(NamePattern::span).orElse(fallback),
                            "no rule matches '%s'%s, held at %s; expected one"
                                    .formatted(first, more, place.apply(first)),
                            "%sadd: param %s { .. }"
                                    .formatted(
                                            pattern.map(
                                                            p ->
                                                                    "the nearest is %s; "
                                                                            .formatted(
                                                                                    PatternText.of(
                                                                                            p)))
                                                    .orElse(""),
                                            PatternText.quoted(
                                                    names.size() == 1 ? first : template)));
                });
    }

    private Optional<NamePattern> written(String bare) {
        return rules.stream()
                .flatMap(r -> r.patterns.stream())
                .map(RulePattern::pattern)
                .filter(p -> PatternText.bare(p).equals(bare))
                .findFirst();
    }
}
