package io.ucp.bind;

import io.ucp.bind.Sharding.Flatten;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.FlatGroup;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.States;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/// The `states` blocks of a spec held against the states that the checkpoint has.
final class StateRules {
    static final String WEIGHT = "weight";

    private final Spec spec;
    private final CheckpointIndex index;
    private final RuleReader rules;
    private final Problems problems;
    private final IdentityHashMap<FlatGroup, Set<String>> flatStates = new IdentityHashMap<>();
    private final Set<String> reported = new LinkedHashSet<>();

    StateRules(Spec spec, CheckpointIndex index, RuleReader rules, Problems problems) {
        this.spec = spec;
        this.index = index;
        this.rules = rules;
        this.problems = problems;
    }

    /// The states of the spec, `weight` included.
    Set<String> names() {
        Set<String> names = new LinkedHashSet<>();
        spec.states().forEach(b -> names.addAll(names(b)));
        names.add(WEIGHT);
        return names;
    }

    private static Set<String> names(States block) {
        Set<String> names = new LinkedHashSet<>();
        block.entries().forEach(e -> e.node().states().forEach(s -> names.add(s.text())));
        return names;
    }

    /// The block of a parameter: the one its rule names, else the spec's only one.
    Optional<States> blockOf(Optional<Name> named) {
        if (named.isEmpty()) {
            return spec.states().size() == 1
                    ? Optional.of(spec.states().getFirst())
                    : Optional.empty();
        }
        Name name = named.get();
        Optional<States> block =
                spec.states().stream().filter(b -> b.name().text().equals(name.text())).findFirst();
        if (block.isEmpty()) {
            List<String> names = spec.states().stream().map(b -> b.name().text()).toList();
            problems.error(
                    name.span(),
                    "no states block '%s'; expected %s"
                            .formatted(
                                    name,
                                    names.isEmpty()
                                            ? "one to be written"
                                            : String.join(", ", names)),
                    problems.near().hint(name.text(), names));
        }
        return block;
    }

    /// Holds the states of a trainable parameter against its block, once a block.
    void check(String parameter, States block, Set<String> held) {
        Set<String> said = names(block);
        Set<String> unsaid = new TreeSet<>(held);
        unsaid.removeAll(said);
        unsaid.remove(WEIGHT);
        Set<String> unheld = new LinkedHashSet<>(said);
        unheld.removeAll(held);
        unheld.remove(WEIGHT);
        if (!unsaid.isEmpty() && reported.add(block.name() + " " + unsaid)) {
            problems.error(
                    block.name().span(),
                    "'%s' has the state %s in the checkpoint; states %s lists %s"
                            .formatted(
                                    parameter,
                                    Listing.of(unsaid),
                                    block.name(),
                                    String.join(", ", said)),
                    problems.near().hint(unsaid.iterator().next(), unheld));
        }
        if (!unheld.isEmpty() && !held.isEmpty() && reported.add(block.name() + "-" + unheld)) {
            problems.error(
                    block.name().span(),
                    "'%s' lacks the state %s in the checkpoint; it has %s"
                            .formatted(
                                    parameter,
                                    Listing.of(unheld),
                                    String.join(", ", new TreeSet<>(held))));
        }
    }

    /// How each state is cut flat: as the spec says, else as the checkpoint's own groups are.
    Map<String, Flatten> flatten() {
        Map<String, Flatten> all = new LinkedHashMap<>();
        for (States block : spec.states()) {
            for (var entry : block.entries()) {
                for (Name state : entry.node().states()) {
                    entry.node().layout().forEach(c -> flatten(c, state, all));
                }
            }
        }
        if (!spec.states().isEmpty()) {
            return all;
        }
        List<FlatGroup> groups = new ArrayList<>(index.flatGroups());
        groups.sort((a, b) -> Boolean.compare(a.axis().equals("edp"), b.axis().equals("edp")));
        for (FlatGroup g : groups) {
            for (FlatGroup.Part part : g.parts()) {
                part.states().keySet().stream()
                        .sorted()
                        .forEach(s -> all.putIfAbsent(s, new Flatten(g.axis(), g.each())));
            }
        }
        return all;
    }

    private void flatten(Clause clause, Name state, Map<String, Flatten> into) {
        switch (clause) {
            case Clause.Flatten f -> {
                if (rules.knows(f.axis())) {
                    into.put(state.text(), new Flatten(f.axis().text(), f.each()));
                }
            }
            default -> {
                // Where ranks hold it is laid out with each parameter.
            }
        }
    }

    /// Says where a flat group of the checkpoint is cut in another way than the spec says.
    ///
    /// @param expertAxes plain axes that place or cut the members: the group is cut over the rest
    void checkFlat(
            FlatGroup group,
            States block,
            Optional<Clause.Flatten> own,
            Set<String> expertAxes,
            Mesh mesh) {
        Set<String> states = flatStates.computeIfAbsent(group, StateRules::states);
        for (var entry : block.entries()) {
            boolean held = false;
            for (Name state : entry.node().states()) {
                held |= states.contains(state.text());
            }
            if (!held) {
                continue;
            }
            Optional<Clause.Flatten> said =
                    own.or(
                            () ->
                                    entry.node().layout().stream()
                                            .filter(Clause.Flatten.class::isInstance)
                                            .map(Clause.Flatten.class::cast)
                                            .findFirst());
            checkFlat(group, entry.node(), said, expertAxes, mesh);
        }
    }

    private static Set<String> states(FlatGroup group) {
        Set<String> states = new HashSet<>();
        group.parts().forEach(p -> states.addAll(p.states().keySet()));
        return states;
    }

    private void checkFlat(
            FlatGroup group,
            States.Entry entry,
            Optional<Clause.Flatten> said,
            Set<String> expertAxes,
            Mesh mesh) {
        String held = words(group.axis(), group.each());
        if (said.isEmpty()) {
            if (group.parts().size() > 1) {
                problems.error(
                        entry.span(),
                        "%s by the spec; the checkpoint holds them by '%s'"
                                .formatted(
                                        StateBinder.clauses(entry).isEmpty()
                                                ? "held whole"
                                                : "not cut flat",
                                        held));
            }
            return;
        }
        List<String> factors = new ArrayList<>(mesh.factors(said.get().axis().text()));
        factors.removeAll(expertAxes);
        boolean sameAxis =
                factors.equals(mesh.factors(group.axis()))
                        || factors.equals(List.of(group.axis()))
                        || (MeshReader.acrossTensor(index)
                                && group.axis().equals("edp")
                                && factors.equals(List.of("dp")));
        if (!sameAxis || said.get().each() != group.each()) {
            problems.error(
                    said.get().span(),
                    "'%s'; the checkpoint holds group %d by '%s'"
                            .formatted(
                                    words(said.get().axis().text(), said.get().each()),
                                    group.optimizerGroup(),
                                    held));
        }
    }

    private static String words(String axis, boolean each) {
        return "flatten %sover %s".formatted(each ? "each " : "", axis);
    }
}
