package io.ucp.bind;

import io.ucp.bind.ParameterBinder.Placed;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.States;
import io.ucp.lang.diagnostic.Span;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.Layout;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// Lays the states of a parameter out that have clauses of their own, behind those of the
/// parameter. What they say of an axis takes the place of the parameter's `replicate` or `average`
/// over it: there every rank has all of the shard, and the state may be held in another way. An
/// axis that cuts or places the parameter does so with its states too.
final class StateBinder {
    private final Mesh mesh;
    private final RuleReader reader;
    private final ParameterBinder binder;
    private final Problems problems;

    StateBinder(Mesh mesh, RuleReader reader, ParameterBinder binder, Problems problems) {
        this.mesh = mesh;
        this.reader = reader;
        this.binder = binder;
        this.problems = problems;
    }

    /// How a parameter is held.
    ///
    /// @param common of the states without clauses of their own
    record Bound(Placed common, Map<String, StateLayout> own) {}

    /// A state's clauses.
    ///
    /// @param steps that are its own
    /// @param reading with those of the parameter
    private record Own(String state, List<Step> steps, Reading reading, Span span) {}

    /// @param block that lists the states of the parameter
    /// @return nothing where it cannot be laid out so; then that has been said
    Optional<Bound> place(Gathered parameter, Reading reading, Optional<States> block) {
        Map<String, Own> own = new LinkedHashMap<>();
        boolean whole = true;
        for (States.Entry entry : entries(block)) {
            List<Clause> clauses = clauses(entry);
            List<String> held =
                    entry.states().stream()
                            .map(Name::text)
                            .filter(s -> !holdings(parameter, s).isEmpty())
                            .toList();
            if (clauses.isEmpty() || held.isEmpty()) {
                continue;
            }
            Span span = clauses.getFirst().span();
            Optional<Reading> read = reader.read(clauses, span);
            Optional<Reading> merged = read.flatMap(r -> merged(parameter, reading, r, span));
            if (read.isEmpty() || merged.isEmpty()) {
                whole = false;
                continue;
            }
            List<Step> steps = read.get().chain().steps();
            held.forEach(state -> own.put(state, new Own(state, steps, merged.get(), span)));
        }
        return whole ? place(parameter, reading, own) : Optional.empty();
    }

    private Optional<Bound> place(Gathered parameter, Reading reading, Map<String, Own> own) {
        List<Holding> common =
                parameter.holdings().stream()
                        .filter(h -> !own.keySet().containsAll(h.tensors()))
                        .toList();
        Map<String, Placed> laid = new LinkedHashMap<>();
        for (Own state : own.values()) {
            List<Holding> holdings = holdings(parameter, state.state);
            if (!isSaid(parameter, state, holdings)) {
                return Optional.empty();
            }
            String label = "%s: %s".formatted(parameter.name(), state.state);
            Optional<Placed> placed = binder.place(label, state.reading, state.span, holdings);
            if (placed.isEmpty()) {
                return Optional.empty();
            }
            laid.put(state.state, placed.get());
        }
        Optional<Placed> shared =
                common.isEmpty() && !laid.isEmpty()
                        ? laid.values().stream().findFirst()
                        : binder.place(
                                parameter.name(), reading, parameter.chosen().span(), common);
        return shared.flatMap(s -> bound(parameter, s, laid, own));
    }

    private Optional<Bound> bound(
            Gathered parameter, Placed common, Map<String, Placed> laid, Map<String, Own> own) {
        StateLayout shared = new StateLayout(common.shards(), common.copies());
        Map<String, StateLayout> apart = new LinkedHashMap<>();
        for (var state : laid.entrySet()) {
            Placed placed = state.getValue();
            if (!placed.shape().equals(common.shape())) {
                Own said = own.get(state.getKey());
                problems.error(
                        said == null ? Span.NONE : said.span,
                        "shape of " + state.getKey(),
                        "%s: %s".formatted(parameter.name(), state.getKey()),
                        "is %s over all ranks; the parameter is %s"
                                .formatted(placed.shape(), common.shape()),
                        Optional.of(
                                "the ranks do not hold the blocks that the clause means: a state in"
                                        + " the shape of its parameter's shard has none of its"
                                        + " own"));
                return Optional.empty();
            }
            StateLayout layout = new StateLayout(placed.shards(), placed.copies());
            if (!layout.equals(shared)) {
                apart.put(state.getKey(), layout);
            }
        }
        return Optional.of(new Bound(common, apart));
    }

    private static List<Holding> holdings(Gathered parameter, String state) {
        return parameter.holdings().stream().filter(h -> h.tensors().contains(state)).toList();
    }

    private static List<States.Entry> entries(Optional<States> block) {
        return block.stream().flatMap(b -> b.entries().stream()).map(e -> e.node()).toList();
    }

    /// Those that say where ranks hold it, apart from how flat tensors are cut.
    static List<Clause> clauses(States.Entry entry) {
        return entry.layout().stream()
                .filter(c -> !(c instanceof Clause.Flatten) && !(c instanceof Clause.Scalar))
                .toList();
    }

    /// Whether the files tell ranks apart on every axis that the state's clauses cut or average: a
    /// tensor of all ranks of an axis is no rank's block and no rank's version.
    private boolean isSaid(Gathered parameter, Own state, List<Holding> holdings) {
        for (Step step : state.steps) {
            boolean apart =
                    !(step.layout() instanceof Layout.Replicated)
                            && mesh.degree(step.axis()) > 1
                            && holdings.stream()
                                    .allMatch(h -> mesh.index(step.axis(), h.at()).isEmpty());
            if (apart) {
                problems.error(
                        state.span,
                        "unsaid " + state.state,
                        "%s: %s".formatted(parameter.name(), state.state),
                        "is held once for all ranks of %s; the clause means a tensor of each"
                                .formatted(step.axis()),
                        Optional.of(
                                "leave the clause out, or say 'replicate over %s'"
                                        .formatted(step.axis())));
                return false;
            }
        }
        return true;
    }

    /// The parameter's steps, those that the state says otherwise left out, and the state's behind.
    private Optional<Reading> merged(Gathered parameter, Reading reading, Reading own, Span span) {
        Set<String> said = new LinkedHashSet<>();
        own.chain().axes().forEach(a -> said.addAll(mesh.factors(a)));
        List<Step> steps = new ArrayList<>();
        Set<String> first = new LinkedHashSet<>(own.takeFirst());
        for (Step step : reading.chain().steps()) {
            List<String> factors = step.axis().isEmpty() ? List.of() : mesh.factors(step.axis());
            boolean everywhere =
                    step.layout() instanceof Layout.Replicated
                            || step.layout() instanceof Layout.Averaged;
            boolean again = factors.stream().anyMatch(said::contains);
            if (again && !(everywhere && said.containsAll(factors))) {
                problems.error(
                        span,
                        "taken " + step.axis(),
                        parameter.name(),
                        "is %s over %s by its rule, and so are its states; expected a clause over an axis that the rule replicates over or leaves out"
                                .formatted(words(step.layout()), step.axis()),
                        Optional.of(
                                "write another states block for this parameter and name it in its"
                                        + " rule, 'with states NAME'"));
                return Optional.empty();
            }
            if (again || (own.unique() && everywhere)) {
                continue;
            }
            steps.add(step);
            if (reading.takeFirst().contains(step.axis())) {
                first.add(step.axis());
            }
        }
        steps.addAll(own.chain().steps());
        return Optional.of(reading.ofState(steps, first, own.unique()));
    }

    private static String words(Layout layout) {
        return switch (layout) {
            case Layout.Placed _ -> "placed";
            case Layout.Replicated(), Layout.Averaged() -> "held whole";
            case Layout.Sharded _,
                    Layout.Fused _,
                    Layout.FusedAgain _,
                    Layout.Viewed _,
                    Layout.Permuted _ ->
                    "cut";
        };
    }
}
