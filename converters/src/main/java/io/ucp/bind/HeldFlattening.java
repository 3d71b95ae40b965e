package io.ucp.bind;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.FlatGroup;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.Statement;
import io.ucp.lang.ast.States;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/// A family's spec with its optimizer states cut as a checkpoint's ZeRO stage cuts them: a group
/// end to end (1, 2), or each parameter on its own (3). That is no matter of the family.
final class HeldFlattening {
    private HeldFlattening() {}

    /// The spec itself where the checkpoint holds none flat, or some in either way.
    static Spec in(Spec spec, CheckpointIndex index) {
        Set<Boolean> each =
                index.flatGroups().stream()
                        .filter(g -> g.optimizerGroup() >= 0)
                        .map(FlatGroup::each)
                        .collect(Collectors.toSet());
        if (each.size() != 1) {
            return spec;
        }
        boolean held = each.iterator().next();
        List<Commented<Statement>> statements = new ArrayList<>();
        for (Commented<Statement> s : spec.statements()) {
            statements.add(
                    s.node() instanceof States states
                            ? new Commented<>(with(states, held), s.comments())
                            : s);
        }
        return new Spec(spec.version(), statements, spec.comments(), spec.span());
    }

    private static States with(States states, boolean each) {
        List<Commented<States.Entry>> entries = new ArrayList<>();
        for (Commented<States.Entry> e : states.entries()) {
            States.Entry entry = e.node();
            List<Clause> layout = new ArrayList<>();
            for (Clause clause : entry.layout()) {
                layout.add(
                        clause instanceof Clause.Flatten f
                                ? new Clause.Flatten(f.axis(), each, f.span())
                                : clause);
            }
            entries.add(
                    new Commented<>(
                            new States.Entry(entry.states(), layout, entry.span()), e.comments()));
        }
        return new States(states.name(), entries, states.span());
    }
}
