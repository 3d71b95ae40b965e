package io.ucp.bind;

import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.LayoutHints.Kind;
import io.ucp.formats.RefusedException;
import io.ucp.lang.NameRegex;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Dimension;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.Position;
import io.ucp.lang.ast.Widths;
import io.ucp.lang.diagnostic.Span;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;

/// The rules of an inferred spec.
///
/// Patterns of DeepSpeed's `universal_checkpoint_info` become rules in its own order of precedence
/// (`deepspeed/checkpoint/ds_to_universal.py`, `merge_tp_slices`); what no pattern matches is
/// concatenated in dim 0, as upstream does.
final class InferredRules {
    private final CheckpointIndex index;
    private final LayoutHints hints;
    private final Mesh mesh;
    private final int tp;
    private final int pp;
    private final Map<String, List<Holding>> held;
    private final InferredStages stages;

    private InferredRules(CheckpointIndex index, Mesh mesh, Map<String, List<Holding>> held) {
        this.index = index;
        this.hints = index.hints();
        this.mesh = mesh;
        this.tp = mesh.degree("tp");
        this.pp = mesh.degree("pp");
        this.held = held;
        this.stages = new InferredStages(mesh, held);
    }

    /// @param held by the names on disk
    /// @throws RefusedException where a pattern cannot be followed
    static List<Rule> of(CheckpointIndex index, Mesh mesh, Map<String, List<Holding>> held) {
        return new InferredRules(index, mesh, held).rules();
    }

    /// @param basis what the rule rests on
    record Rule(NamePattern pattern, List<Clause> clauses, String basis) {}

    /// How one name is laid out, apart from its stage.
    ///
    /// @param pattern number in the checkpoint's list, past its end for none
    private record Decided(int pattern, List<Clause> clauses) {}

    private List<Rule> rules() {
        List<LayoutHints.Pattern> patterns = hints.patterns();
        List<NameRegex> compiled = patterns.stream().map(this::compiled).toList();
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

    private NameRegex compiled(LayoutHints.Pattern pattern) {
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
            String name, List<LayoutHints.Pattern> patterns, List<NameRegex> compiled) {
        int number = patterns.size();
        boolean vocabulary = false;
        boolean pipeline = false;
        for (int i = 0; i < patterns.size(); i++) {
            if (compiled.get(i).match(name).isEmpty()) {
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
        } else if (isDividedOverExpertRanks(name)) {
            clauses.add(new Clause.Shard(Dimension.of(0), Name.of("ep"), Widths.EVEN, Span.NONE));
        }
        clauses.addAll(cut);
        // What no pattern speaks of must be equal on the stages of a module that layers share.
        boolean shared = name.startsWith("tied_modules.") && stages.of(name).size() > 1;
        if (pp > 1 && (pipeline || shared)) {
            clauses.add(
                    new Clause.Replicate(
                            Name.of("pp"), positions(stages.of(name)), pipeline, Span.NONE));
        }
        if (clauses.stream().allMatch(Clause.Pad.class::isInstance) && tp == 1 && pp == 1) {
            clauses.add(new Clause.Unique(Span.NONE));
        }
        return new Decided(number, clauses);
    }

    /// All experts of a layer in one parameter, the expert along its dimension 0.
    private boolean isDividedOverExpertRanks(String name) {
        return held.getOrDefault(name, List.of()).stream()
                .anyMatch(h -> mesh.index("ep", h.at()).isPresent());
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
