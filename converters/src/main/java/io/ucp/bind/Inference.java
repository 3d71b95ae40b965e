package io.ucp.bind;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.RefusedException;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Comments;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Let;
import io.ucp.lang.ast.Matching;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.SpecName;
import io.ucp.lang.ast.Statement;
import io.ucp.lang.ast.States;
import io.ucp.lang.diagnostic.Span;
import io.ucp.mesh.Mesh;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// The spec that a checkpoint's own metadata, names and shapes stand for, with comments that say
/// what each part rests on.
public final class Inference {
    private final CheckpointIndex index;
    private final LayoutHints hints;
    private final Mesh mesh;
    private final int tp;
    private final Map<String, List<Holding>> held = new LinkedHashMap<>();
    private final List<Commented<Statement>> statements = new ArrayList<>();

    private Inference(CheckpointIndex index) {
        this.index = index;
        this.hints = index.hints();
        this.mesh = MeshReader.of(index);
        this.tp = mesh.degree("tp");
        for (Holding h : Holding.of(index, mesh)) {
            if (!hints.aliases().containsKey(h.name())) {
                held.computeIfAbsent(h.name(), _ -> new ArrayList<>()).add(h);
            }
        }
    }

    /// @throws RefusedException where the checkpoint does not say enough; the message has the lines
    ///   to add
    public static Spec infer(CheckpointIndex index) {
        Optional<Spec> family = index.hints().family().flatMap(SpecLibrary::find);
        if (family.isPresent()) {
            return SpecLibrary.held(family.get(), index);
        }
        Inference inference = new Inference(index);
        if (inference.tp > 1 && index.hints().version().isEmpty()) {
            return bundledFamily(index).orElseThrow(inference::refusal);
        }
        return inference.spec();
    }

    /// The bundled spec that fits every name and shape, where exactly one does.
    private static Optional<Spec> bundledFamily(CheckpointIndex index) {
        List<String> fitting = SpecLibrary.fitting(index);
        return fitting.size() == 1
                ? SpecLibrary.find(fitting.getFirst()).map(s -> SpecLibrary.held(s, index))
                : Optional.empty();
    }

    private RefusedException refusal() {
        Set<String> templates = new LinkedHashSet<>();
        held.keySet().forEach(n -> templates.add(NameTemplate.of(n)));
        StringBuilder lines =
                new StringBuilder("write a spec, start from `ucp spec list`, with a rule for");
        for (String template : templates) {
            lines.append("\n    param \"%s\" { .. over tp }".formatted(template));
        }
        return new RefusedException(
                index.tag(),
                "tensors over %d tensor-parallel ranks and nothing that says how".formatted(tp),
                "universal_checkpoint_info in the checkpoint, a bundled spec that fits, or --spec",
                lines.toString());
    }

    private Spec spec() {
        List<String> about = new ArrayList<>();
        about.add("Inferred from %s (%s).".formatted(index.tag(), index.format()));
        about.add(
                tp == 1
                        ? "One tensor-parallel rank: nothing says how more would share a parameter."
                        : "Rules of tensor parallelism rest on universal_checkpoint_info %s."
                                .formatted(hints.version().orElse("")));
        if (!hints.frozen().isEmpty() || !hints.buffers().isEmpty()) {
            about.add(
                    "Frozen parameters (%d) and buffers (%d) are those that the checkpoint lists."
                            .formatted(hints.frozen().size(), hints.buffers().size()));
        }
        add(
                new SpecName(Name.of("inferred"), Span.NONE),
                Comments.before(about.toArray(String[]::new)));
        List<InferredRules.Rule> rules = InferredRules.of(index, mesh, held);
        if (rules.stream().anyMatch(r -> r.pattern() instanceof NamePattern.Regex)) {
            add(Matching.of(Matching.Mode.FIRST_MATCH_WINS), Comments.NONE);
        }
        mesh();
        if (rules.stream()
                .anyMatch(r -> r.clauses().stream().anyMatch(Clause.Pad.class::isInstance))) {
            add(
                    new Let(
                            Name.of("vocab"),
                            Expr.of(hints.vocabularyRows().orElseThrow()),
                            Span.NONE),
                    Comments.behind("original_vocab_size"));
        }
        states().ifPresent(s -> add(s, Comments.NONE));
        tied();
        String last = "";
        for (InferredRules.Rule rule : rules) {
            Comments comments =
                    rule.basis().equals(last)
                            ? Comments.NONE
                            : Comments.before(rule.basis()).apart();
            last = rule.basis();
            List<Commented<Clause>> clauses = rule.clauses().stream().map(Commented::of).toList();
            add(
                    new ParamRule(
                            false,
                            false,
                            List.of(rule.pattern()),
                            Optional.empty(),
                            clauses,
                            Span.NONE),
                    comments);
        }
        return Spec.of(statements);
    }

    private void add(Statement statement, Comments comments) {
        statements.add(new Commented<>(statement, comments));
    }

    private void mesh() {
        List<io.ucp.lang.ast.Mesh.Axis> axes = new ArrayList<>();
        List<String> degrees = new ArrayList<>();
        for (var axis : mesh.axes()) {
            degrees.add(axis.axis() + " " + axis.degree());
            Optional<Map.Entry<String, List<String>>> product =
                    mesh.products().entrySet().stream()
                            .filter(p -> p.getValue().contains(axis.axis()))
                            .findFirst();
            if (product.isEmpty()) {
                axes.add(io.ucp.lang.ast.Mesh.Axis.of(axis.axis()));
            } else if (product.get().getValue().getFirst().equals(axis.axis())) {
                axes.add(
                        new io.ucp.lang.ast.Mesh.Axis(
                                Name.of(product.get().getKey()),
                                Optional.empty(),
                                product.get().getValue().stream()
                                        .map(io.ucp.lang.ast.Mesh.Axis::of)
                                        .toList(),
                                Span.NONE));
            }
        }
        if (!axes.isEmpty()) {
            add(
                    new io.ucp.lang.ast.Mesh(axes, Span.NONE),
                    Comments.behind("written over " + String.join(", ", degrees)));
        }
    }

    /// The states of the optimizer groups, where all have the same.
    private Optional<States> states() {
        Map<String, Clause.Flatten> flat = new TreeMap<>();
        Set<String> scalars = new TreeSet<>();
        Set<Set<String>> kinds = new LinkedHashSet<>();
        for (FlatGroup g : index.flatGroups()) {
            if (g.optimizerGroup() < 0) {
                continue;
            }
            Clause.Flatten flatten =
                    g.each() ? Clause.Flatten.eachOver("dp") : Clause.Flatten.over("dp");
            Set<String> names = new TreeSet<>();
            for (FlatGroup.Part p : g.parts()) {
                p.states().keySet().forEach(s -> flat.put(s, flatten));
                scalars.addAll(p.scalars().keySet());
                names.addAll(p.states().keySet());
                names.addAll(p.scalars().keySet());
            }
            kinds.add(names);
        }
        boolean usable =
                kinds.size() == 1
                        && index.tensors().stream()
                                .allMatch(t -> t.state().equals(StateRules.WEIGHT))
                        && kinds.iterator().next().stream().allMatch(Name::isName);
        if (!usable || flat.isEmpty()) {
            return Optional.empty();
        }
        List<Name> ordered = new ArrayList<>();
        if (flat.containsKey("fp32")) {
            ordered.add(Name.of("fp32"));
        }
        flat.keySet().stream().filter(s -> !s.equals("fp32")).map(Name::of).forEach(ordered::add);
        List<Commented<States.Entry>> entries = new ArrayList<>();
        entries.add(
                Commented.of(
                        new States.Entry(
                                ordered, List.of(flat.values().iterator().next()), Span.NONE)));
        if (!scalars.isEmpty()) {
            entries.add(
                    Commented.of(
                            new States.Entry(
                                    scalars.stream().map(Name::of).toList(),
                                    List.of(new Clause.Scalar(Span.NONE)),
                                    Span.NONE)));
        }
        boolean adam = flat.containsKey("exp_avg") && flat.containsKey("exp_avg_sq");
        return Optional.of(new States(Name.of(adam ? "adam" : "optimizer"), entries, Span.NONE));
    }

    private void tied() {
        Comments[] comments = {
            Comments.before("Other names of one parameter (shared_params).").apart()
        };
        new TreeMap<>(hints.aliases())
                .forEach(
                        (alias, canonical) -> {
                            add(
                                    ParamRule.of(
                                            NamePattern.Glob.exact(alias),
                                            Optional.empty(),
                                            List.of(
                                                    new Clause.TiedTo(
                                                            NamePattern.Glob.exact(canonical),
                                                            Span.NONE))),
                                    comments[0]);
                            comments[0] = Comments.NONE;
                        });
    }
}
