package io.ucp.bind;

import io.ucp.bind.ParameterBinder.Placed;
import io.ucp.bind.Rules.Chosen;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.FrozenRule;
import io.ucp.lang.ast.GroupRule;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.States;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.Layout;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;

/// Meets a spec with a checkpoint. Every name in the files is given to one rule, names that are
/// numbered per rank become global ones, every parameter is laid out as its rule says, and all of
/// it is held against what the files say.
public final class Binder {
    private final Spec spec;
    private final CheckpointIndex index;
    private final Problems problems = new Problems();
    private final Mesh mesh;
    private final Numbers numbers;
    private final Families families;
    private final RuleReader reader;
    private final Rules rules;
    private final StateRules states;
    private final GroupRules groups;
    private final List<Holding> holdings;
    private final ParameterBinder parameters;
    private final Aliases aliases;
    private final Map<String, Gathered> gathered = new LinkedHashMap<>();
    private final Map<String, String> dropped = new LinkedHashMap<>();
    private final Map<String, Span> frozen = new HashMap<>();

    private Binder(Spec spec, CheckpointIndex index, Map<String, Long> settings) {
        this.spec = spec;
        this.index = index;
        Map<String, Long> hints = index.hints().numbers();
        this.mesh =
                MeshReader.read(
                        spec,
                        index,
                        new Numbers(spec, Optional.empty(), settings, hints, problems),
                        problems);
        this.numbers = new Numbers(spec, Optional.of(mesh), settings, hints, problems);
        this.families = new Families(mesh, numbers, problems);
        this.reader = new RuleReader(mesh, spec.mesh().isPresent(), numbers, families, problems);
        this.rules = new Rules(spec, problems);
        this.states = new StateRules(spec, index, reader, problems);
        this.groups = new GroupRules(spec, problems);
        this.holdings = Holding.of(index, mesh);
        this.parameters =
                ParameterBinder.on(mesh, dataAxes(), index.hints().vocabularyRows(), problems);
        this.aliases = new Aliases(index.hints().aliases());
        SettingNames.check(spec, mesh, settings, problems);
    }

    /// Where every element of every parameter lies, by a spec.
    ///
    /// @param spec its imports taken in (`Ucl.parse(source, SpecLibrary.imports())`)
    /// @param settings from `--set name=value`
    /// @throws io.ucp.lang.diagnostic.SpecException with everything in which the spec and the
    ///   checkpoint do not fit
    public static Sharding bind(Spec spec, CheckpointIndex index, Map<String, Long> settings) {
        return new Binder(spec, index, settings).bind(true);
    }

    /// Whether a spec fits every name and shape as it is.
    static boolean fits(Spec spec, CheckpointIndex index) {
        try {
            new Binder(spec, index, Map.of()).bind(false);
            return true;
        } catch (SpecException _) {
            return false;
        }
    }

    /// @param advising whether a spec that fits better is looked for
    private Sharding bind(boolean advising) {
        Gathering.Result met = new Gathering(mesh, rules, families, aliases).of(holdings);
        gathered.putAll(met.parameters());
        dropped.putAll(met.dropped());
        Set<String> names = new LinkedHashSet<>();
        holdings.forEach(h -> names.add(h.name()));
        rules.reportUnused(names, aliases.tiedPatterns(spec));
        rules.reportUnmatched(this::placesOf, spec.span());
        switch (rules.fit(names)) {
            case OTHER -> {
                problems.sole(rules.place(), rules.misfit(names), better(advising));
                problems.throwIfAny();
            }
            case POOR -> problems.last(rules.misfit(names), better(advising));
            case CLOSE -> {
                // What does not fit has been said.
            }
        }
        frozenRules();
        List<BoundParameter> bound = new ArrayList<>();
        for (Gathered parameter : gathered.values()) {
            bind(parameter).ifPresent(bound::add);
        }
        if (!spec.groups().isEmpty()) {
            groups.check(membersByGroup());
        }
        Map<String, Sharding.Flatten> flatten = states.flatten();
        List<BoundParameter> all = aliases.attach(bound, problems);
        List<Renamed> renames =
                problems.any()
                        ? List.of()
                        : Renames.of(
                                spec,
                                all.stream().map(Renamed.Side::of).toList(),
                                numbers,
                                problems);
        problems.throwIfAny();
        return new Sharding(mesh, all, flatten, dropped, renames);
    }

    private String better(boolean advising) {
        List<String> fitting = advising ? SpecLibrary.fitting(index) : List.of();
        return fitting.isEmpty()
                ? "no bundled spec fits it (`ucp spec list`); `ucp infer` prints what the"
                        + " checkpoint itself says"
                : "--spec %s fits it (`ucp spec list`)".formatted(String.join(" or ", fitting));
    }

    private Set<String> dataAxes() {
        Set<String> named = new LinkedHashSet<>(List.of("dp", "edp", "cp"));
        index.flatGroups().forEach(g -> named.add(g.axis()));
        if (MeshReader.acrossTensor(index)) {
            named.add("ep");
        }
        Set<String> plain = new HashSet<>();
        named.forEach(n -> plain.addAll(mesh.factors(n)));
        return plain;
    }

    private String placesOf(String name) {
        Set<String> axes = new LinkedHashSet<>();
        mesh.axes().forEach(a -> axes.add(a.axis()));
        return Places.of(holdings.stream().filter(h -> h.name().equals(name)).toList(), axes);
    }

    private void frozenRules() {
        for (FrozenRule rule : spec.frozen()) {
            for (NamePattern pattern : rule.patterns()) {
                RulePattern compiled = RulePattern.of(pattern);
                boolean any = false;
                for (String name : gathered.keySet()) {
                    if (compiled.match(name).isPresent()) {
                        frozen.putIfAbsent(name, pattern.span());
                        any = true;
                    }
                }
                if (!any && !rule.optional() && !spec.everyRuleOptional()) {
                    problems.error(
                            pattern.span(),
                            "%s matches nothing in the checkpoint; expected a parameter"
                                    .formatted(PatternText.of(pattern)),
                            problems.near().hint(PatternText.bare(pattern), gathered.keySet()));
                }
            }
        }
    }

    private Optional<BoundParameter> bind(Gathered parameter) {
        Chosen chosen = parameter.chosen();
        Optional<Reading> read =
                reader.read(chosen.rule().param().orElseThrow(), parameter.captures());
        if (read.isEmpty()) {
            return Optional.empty();
        }
        Reading reading =
                new SharedStage(mesh, gathered, problems).of(read.get(), parameter.captures());
        if (reading.tiedTo().isPresent()) {
            aliases.tie(parameter, reading.tiedTo().get());
            return Optional.empty();
        }
        boolean isFrozen = isFrozen(parameter, reading);
        Optional<States> block = blockOf(parameter, reading);
        checkStates(parameter, reading, block, isFrozen);
        return new StateBinder(mesh, reader, parameters, problems)
                .place(parameter, reading, block)
                .map(b -> bound(parameter, reading, b, isFrozen));
    }

    private Optional<States> blockOf(Gathered parameter, Reading reading) {
        return states.blockOf(
                reading.states()
                        .map(Clause.WithStates::states)
                        .or(() -> groups.of(parameter.name()).flatMap(GroupRule::states)));
    }

    private BoundParameter bound(
            Gathered parameter, Reading reading, StateBinder.Bound bound, boolean isFrozen) {
        Placed placed = bound.common();
        Split split =
                Splits.of(
                        parameter.name(),
                        placed.chain(),
                        placed.shape(),
                        !reading.padding().isEmpty(),
                        index.hints());
        return new BoundParameter(
                parameter.name(),
                placed.shape(),
                placed.realShape(),
                split,
                placed.shards(),
                placed.copies(),
                bound.own(),
                isFrozen,
                casts(reading),
                List.of(),
                parameter.chosen().rule().label());
    }

    private Map<String, DType> casts(Reading reading) {
        Map<String, DType> casts = new LinkedHashMap<>();
        spec.casts()
                .forEach(
                        c ->
                                RuleReader.dtype(c.dtype(), problems)
                                        .ifPresent(d -> casts.put(c.state().text(), d)));
        casts.putAll(reading.casts());
        return casts;
    }

    /// Frozen by its rule, by a `frozen` statement, or by the checkpoint's own word.
    private boolean isFrozen(Gathered parameter, Reading reading) {
        boolean said = reading.frozen() || frozen.containsKey(parameter.name());
        boolean known = false;
        for (Holding h : parameter.holdings()) {
            known |=
                    index.hints().frozen().contains(h.name())
                            || index.hints().buffers().contains(h.name());
        }
        if (said && parameter.isTrained()) {
            problems.error(
                    frozen.getOrDefault(parameter.name(), parameter.chosen().span()),
                    "frozen",
                    parameter.name(),
                    "is frozen by the spec; the checkpoint has its optimizer state",
                    Optional.empty());
        }
        return said || known;
    }

    private void checkStates(
            Gathered parameter, Reading reading, Optional<States> block, boolean isFrozen) {
        if (!parameter.isTrained()) {
            boolean others = gathered.values().stream().anyMatch(Gathered::isTrained);
            if (!isFrozen && others) {
                problems.error(
                        parameter.chosen().span(),
                        "untrained",
                        parameter.name(),
                        "has no optimizer state in the checkpoint; the rule does not say 'frozen'",
                        Optional.empty());
            }
            return;
        }
        if (block.isEmpty()) {
            checkBlock(parameter, reading);
            return;
        }
        states.check(parameter.name(), block.get(), parameter.states());
        Set<String> expertAxes = new LinkedHashSet<>();
        for (Step step : reading.chain().steps()) {
            if (step.layout() instanceof Layout.Placed || step.layout() instanceof Layout.Sharded) {
                expertAxes.addAll(mesh.factors(step.axis()));
            }
        }
        Optional<Clause.Flatten> own =
                reading.flatten().or(() -> groups.of(parameter.name()).flatMap(GroupRule::flatten));
        for (FlatGroup flat : flatGroupsOf(parameter)) {
            states.checkFlat(flat, block.get(), own, expertAxes, mesh);
        }
    }

    /// Of several blocks nobody guesses which is a parameter's.
    private void checkBlock(Gathered parameter, Reading reading) {
        boolean named =
                reading.states().isPresent()
                        || groups.of(parameter.name()).flatMap(GroupRule::states).isPresent();
        if (!named && spec.states().size() > 1) {
            problems.error(
                    parameter.chosen().span(),
                    "block",
                    parameter.name(),
                    "has the states of one of %d blocks, and its rule does not say which; expected 'with states NAME'"
                            .formatted(spec.states().size()),
                    Optional.empty());
        }
    }

    private final Map<String, Set<FlatGroup>> flatByName = new HashMap<>();

    private Set<FlatGroup> flatGroupsOf(Gathered parameter) {
        if (flatByName.isEmpty()) {
            for (FlatGroup group : index.flatGroups()) {
                for (FlatGroup.Member m : group.members()) {
                    flatByName
                            .computeIfAbsent(
                                    m.name(),
                                    _ -> Collections.newSetFromMap(new IdentityHashMap<>()))
                            .add(group);
                }
            }
        }
        Set<String> names = new HashSet<>();
        parameter.holdings().forEach(h -> names.add(h.name()));
        Set<FlatGroup> all = Collections.newSetFromMap(new IdentityHashMap<>());
        names.forEach(n -> all.addAll(flatByName.getOrDefault(n, Set.of())));
        return all;
    }

    /// A name in the files of one rank.
    private record Local(String name, Coordinate at) {}

    /// The members of the checkpoint's flat groups by their global names.
    private List<GroupRules.Members> membersByGroup() {
        Map<Local, String> global = new HashMap<>();
        for (Gathered g : gathered.values()) {
            for (Holding h : g.holdings()) {
                global.putIfAbsent(new Local(h.name(), h.at()), g.name());
            }
        }
        List<GroupRules.Members> members = new ArrayList<>();
        for (FlatGroup group : index.flatGroups()) {
            Coordinate at = Holding.onAxes(group.at(), mesh);
            List<String> names =
                    group.members().stream()
                            .map(m -> global.get(new Local(m.name(), at)))
                            .filter(Objects::nonNull)
                            .toList();
            members.add(new GroupRules.Members(group, names));
        }
        return members;
    }
}
