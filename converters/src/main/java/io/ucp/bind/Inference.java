package io.ucp.bind;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.LayoutHints.Kind;
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
import io.ucp.lang.ast.Position;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.SpecName;
import io.ucp.lang.ast.Statement;
import io.ucp.lang.ast.States;
import io.ucp.lang.diagnostic.Span;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// The spec that a checkpoint's own metadata, names and shapes stand for, with comments that say
/// what each part rests on.
///
/// Patterns of DeepSpeed's `universal_checkpoint_info` become rules in its own order of precedence
/// (`deepspeed/checkpoint/ds_to_universal.py`, `merge_tp_slices`); what no pattern matches is
/// concatenated in dim 0, as upstream does.
public final class Inference {
    private final CheckpointIndex index;
    private final LayoutHints hints;
    private final Mesh mesh;
    private final int tp;
    private final int pp;
    private final Map<String, List<Holding>> held = new LinkedHashMap<>();
    private final List<Commented<Statement>> statements = new ArrayList<>();
    private final InferredStages stages;

    private Inference(CheckpointIndex index) {
        this.index = index;
        this.hints = index.hints();
        this.mesh = MeshReader.of(index);
        this.tp = mesh.degree("tp");
        this.pp = mesh.degree("pp");
        for (Holding h : Holding.of(index, mesh)) {
            if (!hints.aliases().containsKey(h.name())) {
                held.computeIfAbsent(h.name(), _ -> new ArrayList<>()).add(h);
            }
        }
        this.stages = new InferredStages(mesh, held);
    }

    /// @throws RefusedException where the checkpoint does not say enough; the message has the lines
    ///   to add
    public static Spec infer(CheckpointIndex index) {
        Optional<Spec> family = index.hints().family().flatMap(SpecLibrary::find);
        if (family.isPresent()) {
            return HeldStages.in(family.get(), index);
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
        return fitting.size() == 1 ? SpecLibrary.find(fitting.getFirst()) : Optional.empty();
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
        List<Rule> rules = rules();
        if (rules.stream().anyMatch(r -> r.pattern instanceof NamePattern.Regex)) {
            add(Matching.of(Matching.Mode.FIRST_MATCH_WINS), Comments.NONE);
        }
        mesh();
        if (rules.stream()
                .anyMatch(r -> r.clauses.stream().anyMatch(Clause.Pad.class::isInstance))) {
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
        for (Rule rule : rules) {
            Comments comments =
                    rule.basis.equals(last) ? Comments.NONE : Comments.before(rule.basis).apart();
            last = rule.basis;
            List<Commented<Clause>> clauses = rule.clauses.stream().map(Commented::of).toList();
            add(
                    new ParamRule(
                            false,
                            false,
                            List.of(rule.pattern),
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

    /// @param basis what the rule rests on
    private record Rule(NamePattern pattern, List<Clause> clauses, String basis) {}

    /// How one name is laid out, apart from its stage.
    ///
    /// @param pattern number in the checkpoint's list, past its end for none
    private record Decided(int pattern, List<Clause> clauses) {}

    private List<Rule> rules() {
        List<LayoutHints.Pattern> patterns = hints.patterns();
        List<java.util.regex.Pattern> compiled = patterns.stream().map(this::compiled).toList();
        Map<Integer, Map<Decided, List<String>>> byPattern = new TreeMap<>();
        for (String name : held.keySet()) {
            Decided decided = decide(name, patterns, compiled);
            byPattern
                    .computeIfAbsent(decided.pattern, _ -> new LinkedHashMap<>())
                    .computeIfAbsent(decided, _ -> new ArrayList<>())
                    .add(name);
        }
        List<Rule> rules = new ArrayList<>();
        byPattern.forEach(
                (number, classes) -> {
                    boolean own = number < patterns.size();
                    String basis =
                            own ? InferredLayout.list(patterns.get(number).kind()) : otherBasis();
                    if (own && classes.size() == 1) {
                        var only = classes.entrySet().iterator().next();
                        regexRule(patterns.get(number), only.getKey(), only.getValue(), basis)
                                .ifPresentOrElse(
                                        rules::add,
                                        () ->
                                                rules.addAll(
                                                        named(
                                                                only.getKey(),
                                                                only.getValue(),
                                                                basis)));
                    } else {
                        classes.forEach(
                                (decided, names) -> rules.addAll(named(decided, names, basis)));
                    }
                });
        // Two patterns may come to one rule for the names of both.
        Set<List<Object>> seen = new HashSet<>();
        rules.removeIf(r -> !seen.add(List.of(r.pattern, r.clauses)));
        return rules;
    }

    private java.util.regex.Pattern compiled(LayoutHints.Pattern pattern) {
        try {
            return PythonRegex.compiled(pattern.regex());
        } catch (IllegalArgumentException e) {
            throw new RefusedException(
                    index.tag(),
                    "universal_checkpoint_info has the pattern '%s': %s"
                            .formatted(
                                    pattern.regex(),
                                    String.valueOf(e.getMessage()).lines().findFirst().orElse("")),
                    "a regular expression of Python that java.util.regex can follow",
                    "describe the layout in a spec, --spec FILE; `ucp spec list` has some to start"
                            + " from");
        }
    }

    private String otherBasis() {
        return tp > 1 && hints.version().isPresent()
                ? "In no list: concatenated in dim 0"
                : "By the names in the files";
    }

    private Decided decide(
            String name,
            List<LayoutHints.Pattern> patterns,
            List<java.util.regex.Pattern> compiled) {
        int number = patterns.size();
        boolean vocabulary = false;
        boolean pipeline = false;
        for (int i = 0; i < patterns.size(); i++) {
            if (!compiled.get(i).matcher(name).matches()) {
                continue;
            }
            Kind kind = patterns.get(i).kind();
            vocabulary |= kind == Kind.VOCABULARY;
            pipeline |= kind == Kind.REPLICATED_OVER_PP;
            if (kind != Kind.VOCABULARY && kind != Kind.REPLICATED_OVER_PP) {
                number = Math.min(number, i);
            }
        }
        Optional<LayoutHints.Pattern> pattern =
                number < patterns.size() ? Optional.of(patterns.get(number)) : Optional.empty();
        List<Shape> local = localShapes(name);
        List<Clause> clauses = new ArrayList<>();
        List<Clause> cut =
                isOfAllTensorRanks(name)
                        ? List.of(new Clause.Replicate(Name.of("tp"), List.of(), false, Span.NONE))
                        : InferredLayout.of(pattern, local, hints.version().isPresent());
        if (vocabulary && hints.vocabularyRows().isPresent() && local.getFirst().rank() > 0) {
            pad(local, cut).ifPresent(clauses::add);
        }
        if (stages.isExpert(name)) {
            clauses.add(new Clause.Expert(Name.of("e"), Name.of("ep"), true, Span.NONE));
        }
        clauses.addAll(cut);
        if (pp > 1 && pipeline) {
            clauses.add(
                    new Clause.Replicate(
                            Name.of("pp"), positions(stages.of(name)), true, Span.NONE));
        }
        if (clauses.stream().allMatch(Clause.Pad.class::isInstance) && tp == 1 && pp == 1) {
            clauses.add(new Clause.Unique(Span.NONE));
        }
        return new Decided(number, clauses);
    }

    /// An expert that is not cut over tensor-parallel ranks, whose files say none.
    private boolean isOfAllTensorRanks(String name) {
        return tp > 1
                && stages.isExpert(name)
                && held.getOrDefault(name, List.of()).stream()
                        .allMatch(h -> mesh.index("tp", h.at()).isEmpty());
    }

    private Optional<Clause> pad(List<Shape> local, List<Clause> cut) {
        boolean sharded =
                cut.stream()
                        .anyMatch(c -> c instanceof Clause.Shard || c instanceof Clause.ShardEach);
        long padded =
                sharded ? local.stream().mapToLong(s -> s.dim(0)).sum() : local.getFirst().dim(0);
        long rows = hints.vocabularyRows().orElseThrow();
        Long multiple = hints.numbers().get("vocab_multiple");
        return rows > padded
                ? Optional.empty()
                : Optional.of(
                        InferredLayout.pad(
                                rows,
                                padded,
                                multiple == null ? OptionalLong.empty() : OptionalLong.of(multiple),
                                tp));
    }

    /// By tensor-parallel rank, of the first stage that holds it.
    private List<Shape> localShapes(String name) {
        List<Shape> shapes = new ArrayList<>();
        List<Holding> all = held.getOrDefault(name, List.of());
        for (int r = 0; r < tp; r++) {
            int rank = r;
            all.stream()
                    .filter(h -> mesh.index("tp", h.at()).orElse(rank) == rank)
                    .findFirst()
                    .ifPresent(h -> shapes.add(h.shape()));
        }
        return shapes;
    }

    private List<Position> positions(Set<Integer> found) {
        if (found.equals(Set.of(0, pp - 1))) {
            return List.of(Position.FIRST, Position.LAST);
        }
        if (found.size() == pp) {
            return List.of();
        }
        return found.stream().<Position>map(Position.Nth::new).toList();
    }

    /// One rule for all names that a pattern decides, where they are on stages by one clause.
    private Optional<Rule> regexRule(
            LayoutHints.Pattern pattern, Decided decided, List<String> names, String basis) {
        Optional<InferredStages.Placement> placement =
                stages.placement(names, decided.clauses, pattern.regex());
        return placement.map(
                p -> {
                    List<Clause> clauses = new ArrayList<>(decided.clauses);
                    p.clause().ifPresent(clauses::add);
                    return new Rule(
                            NamePattern.Regex.of(PythonRegex.fullMatch(p.regex())), clauses, basis);
                });
    }

    /// Rules by name, names that differ in numbers only together.
    private List<Rule> named(Decided decided, List<String> names, String basis) {
        Map<String, List<String>> byTemplate = new LinkedHashMap<>();
        for (String name : names) {
            byTemplate.computeIfAbsent(stages.template(name), _ -> new ArrayList<>()).add(name);
        }
        List<Rule> rules = new ArrayList<>();
        byTemplate.forEach(
                (template, members) -> {
                    List<Clause> clauses = new ArrayList<>(decided.clauses);
                    stages.ofTemplate(members, decided.clauses).ifPresent(clauses::add);
                    boolean single = members.size() == 1 && !stages.isExpert(members.getFirst());
                    rules.add(
                            new Rule(
                                    single
                                            ? NamePattern.Glob.exact(members.getFirst())
                                            : InferredStages.glob(members.getFirst(), template),
                                    clauses,
                                    basis));
                });
        return rules;
    }
}
