package io.ucp.bind;

import io.ucp.formats.LayoutHints;
import io.ucp.formats.ParameterFacts;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.Widths;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;

/// The rules of a spec, read for a mesh that no files are of yet. What a spec says of the source's
/// own job, the counts of its stages and the widths of its ranks, is left out where the target has
/// others.
final class TargetRules {
    /// @param chosen the rule and how the name matches it
    /// @param rule without what is of the source's job alone
    record Ruled(ParameterFacts facts, Rules.Chosen chosen, ParamRule rule) {}

    /// What a rule comes to.
    ///
    /// @param cut whether the rule says what tensor-parallel ranks hold
    /// @param localName in the files of the rank that holds it
    record Read(Ruled of, Reading reading, boolean cut, String localName) {
        Read with(Reading other) {
            return new Read(of, other, cut, localName);
        }
    }

    private static final String STAGE = "pp";

    private final Spec spec;
    private final Mesh mesh;
    private final Problems problems = new Problems();
    private final Numbers numbers;
    private final Rules rules;
    private final TargetMembers members;
    private final RuleReader reader;
    private final Map<String, Ruled> ruled = new LinkedHashMap<>();
    private final List<String> unmatched = new ArrayList<>();
    private final Set<String> notes = new LinkedHashSet<>();
    private final boolean byName;

    /// @param byName stages follow from the names, whatever the spec says of them
    private TargetRules(
            Spec spec,
            Mesh mesh,
            List<ParameterFacts> parameters,
            LayoutHints hints,
            Map<String, Long> settings,
            Optional<List<Integer>> stages,
            int virtual,
            boolean byName) {
        this.spec = spec;
        this.mesh = mesh;
        this.byName = byName;
        this.numbers = new Numbers(spec, Optional.of(mesh), settings, hints.numbers(), problems);
        this.members = new TargetMembers(mesh, numbers, stages, virtual, problems);
        this.reader = new RuleReader(mesh, spec.mesh().isPresent(), numbers, members, problems);
        this.rules = new Rules(spec, problems);
        for (ParameterFacts p : parameters) {
            Optional<Rules.Chosen> chosen = rules.choose(p.name());
            Optional<ParamRule> rule = chosen.flatMap(c -> c.rule().param());
            if (rule.isEmpty()) {
                unmatched.add(p.name());
                continue;
            }
            ParamRule own = forTarget(rule.get());
            ruled.put(p.name(), new Ruled(p, chosen.get(), own));
            own.layout().forEach(c -> members.note(c, chosen.get().match()));
        }
    }

    static TargetRules of(
            Spec spec,
            Mesh mesh,
            List<ParameterFacts> parameters,
            LayoutHints hints,
            Map<String, Long> settings,
            Optional<List<Integer>> stages,
            int virtual,
            boolean byName) {
        return new TargetRules(spec, mesh, parameters, hints, settings, stages, virtual, byName);
    }

    /// What rules say of another number of stages or ranks.
    Set<String> notes() {
        Set<String> all = new LinkedHashSet<>(members.notes());
        all.addAll(notes);
        return all;
    }

    /// Members of each stage where these follow from the names, and the rules say one list of as
    /// many as there are stages.
    Optional<List<Integer>> stages() {
        if (!byName) {
            return Optional.empty();
        }
        Set<List<Long>> said = new LinkedHashSet<>();
        for (ParamRule rule : spec.params()) {
            for (Clause clause : rule.layout()) {
                if (clause instanceof Clause.StageOf s) {
                    members.said(s, mesh.degree(s.axis().text())).ifPresent(said::add);
                }
            }
        }
        if (said.size() > 1) {
            notes.add(
                    "rules of the spec say different stages, %s: the pipeline is cut as DeepSpeed would"
                            .formatted(said));
        }
        return said.size() == 1
                ? Optional.of(said.iterator().next().stream().map(Math::toIntExact).toList())
                : Optional.empty();
    }

    /// Names that no rule matches.
    List<String> unmatched() {
        return unmatched;
    }

    /// Whether the spec is one of this very model: every name and every declared shape fits, every
    /// rule is used, and each says what tensor-parallel ranks hold.
    boolean fits() {
        rules.reportUnused(ruled.keySet(), Set.of());
        if (!unmatched.isEmpty()
                || problems.any()
                || !ruled.values().stream().allMatch(this::hasShape)) {
            return false;
        }
        try {
            return read().values().stream().allMatch(Read::cut);
        } catch (SpecException | ImpossibleLayoutException _) {
            return false;
        }
    }

    private boolean hasShape(Ruled r) {
        var declared = r.chosen.rule().param().flatMap(ParamRule::shape);
        return declared.isEmpty()
                || numbers.values(declared.get().extents())
                        .filter(
                                e ->
                                        Arrays.stream(r.facts.realShape().dims())
                                                .boxed()
                                                .toList()
                                                .equals(e))
                        .isPresent();
    }

    /// The rule of every parameter, evaluated.
    ///
    /// @throws io.ucp.lang.diagnostic.SpecException where one cannot be
    Map<String, Read> read() {
        Map<String, Read> all = new LinkedHashMap<>();
        ruled.forEach(
                (name, r) ->
                        reader.read(r.rule, r.chosen.match().captures())
                                .ifPresent(reading -> all.put(name, read(r, reading))));
        all.replaceAll((name, read) -> read.with(staged(read, all, Set.of(name))));
        checkStates();
        problems.throwIfAny();
        return all;
    }

    /// Every format holds a state in the shape of its parameter's shard, so that a state can be cut
    /// with its parameter only. Where ranks are to hold copies or a mean, each gets that.
    private void checkStates() {
        spec.states().stream()
                .flatMap(block -> block.entries().stream())
                .flatMap(entry -> entry.node().layout().stream())
                .filter(Clause.Shard.class::isInstance)
                .forEach(
                        shard ->
                                problems.error(
                                        shard.span(),
                                        "a state that is cut on its own, in a target; expected"
                                                + " states that are cut as their parameter",
                                        "leave the clause out, or say it in the rules of the"
                                                + " parameters"));
    }

    /// With the stages of the parameter that it shares one with.
    private Reading staged(Read read, Map<String, Read> all, Set<String> asked) {
        Optional<NamePattern.Glob> with = read.reading.stagedWith();
        if (with.isEmpty()) {
            return read.reading;
        }
        String name = PatternText.filled(with.get(), read.of.chosen.match().captures());
        Read other = all.get(name);
        if (other == null) {
            problems.error(
                    with.get().span(),
                    "no parameter %s; expected one to share the stage of"
                            .formatted(PatternText.quoted(name)),
                    problems.near().hint(name, all.keySet()));
            return read.reading;
        }
        if (asked.contains(name)) {
            return read.reading;
        }
        Set<String> more = new LinkedHashSet<>(asked);
        more.add(name);
        Optional<Step> stage =
                staged(other, all, more).chain().steps().stream()
                        .filter(s -> s.axis().equals(STAGE))
                        .findFirst();
        return stage.map(read.reading::with).orElse(read.reading);
    }

    private Read read(Ruled r, Reading reading) {
        List<String> tp = new ArrayList<>(mesh.factors("tp"));
        tp.addAll(mesh.factors("etp"));
        boolean cut =
                isEverywhere(r.rule)
                        || reading.chain().axes().stream()
                                .anyMatch(a -> mesh.factors(a).stream().anyMatch(tp::contains));
        Map<String, String> local = new HashMap<>();
        for (Clause c : r.rule.layout()) {
            members.local(c, r.chosen.match()).ifPresent(n -> local.put(members.capture(c), n));
        }
        return new Read(r, reading, cut, r.chosen.match().with(local));
    }

    /// A rule that neither cuts nor places: every rank holds the whole.
    private static boolean isEverywhere(ParamRule rule) {
        return rule.layout().stream().allMatch(Clause.Pad.class::isInstance);
    }

    private ParamRule forTarget(ParamRule rule) {
        boolean staged = !byName && mesh.degree(STAGE) > 1;
        Predicate<Clause> kept =
                c ->
                        switch (c) {
                            case Clause.StageOf _, Clause.StageAt _, Clause.StageWith _ -> staged;
                            case Clause.Replicate r -> staged || !r.axis().text().equals(STAGE);
                            case Clause.Flatten _,
                                    Clause.Frozen _,
                                    Clause.WithStates _,
                                    Clause.Cast _ ->
                                    false;
                            case Clause.Unique _,
                                    Clause.Scalar _,
                                    Clause.Average _,
                                    Clause.Shard _,
                                    Clause.Fuse _,
                                    Clause.ShardEach _,
                                    Clause.View _,
                                    Clause.Expert _,
                                    Clause.TiedTo _,
                                    Clause.Pad _ ->
                                    true;
                        };
        boolean dropped = rule.layout().stream().anyMatch(c -> !kept.test(c));
        List<Commented<Clause>> clauses = new ArrayList<>();
        rule.layout().stream()
                .filter(kept)
                .map(this::widened)
                .map(Commented::of)
                .forEach(clauses::add);
        if (dropped && clauses.stream().allMatch(c -> c.node() instanceof Clause.Pad)) {
            // It spoke of other axes only: that is not a rule without clauses.
            clauses.add(Commented.of(new Clause.Unique(Span.NONE)));
        }
        return new ParamRule(
                rule.optional(),
                rule.fallback(),
                rule.patterns(),
                Optional.empty(),
                clauses,
                rule.span());
    }

    /// Listed widths hold for as many ranks as are listed; for others the cut is even.
    private Clause widened(Clause clause) {
        return switch (clause) {
            case Clause.Shard(var dim, var axis, Widths.Listed(var widths), var span)
                    when isOfOthers(axis, widths.size()) ->
                    new Clause.Shard(dim, axis, Widths.EVEN, span);
            case Clause.ShardEach(var axis, Widths.ByPart(var parts), var span)
                    when parts.stream().anyMatch(p -> isOfOthers(axis, p.widths().size())) ->
                    new Clause.ShardEach(axis, Widths.EVEN, span);
            case Clause other -> other;
        };
    }

    private boolean isOfOthers(Name axis, int ranks) {
        int degree = mesh.degree(axis.text());
        if (ranks == degree) {
            return false;
        }
        if (degree > 1) {
            notes.add(
                    "widths over %s hold for %d ranks; the target's %d are cut evenly"
                            .formatted(axis, ranks, degree));
        }
        return true;
    }
}
