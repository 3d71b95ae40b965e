package io.ucp.bind;

import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.Part;
import io.ucp.lang.ast.Position;
import io.ucp.lang.diagnostic.Span;
import io.ucp.layout.Chain;
import io.ucp.layout.Chain.Step;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.layout.Layout;
import io.ucp.layout.Widths;
import io.ucp.mesh.Mesh;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;

/// Evaluates the clauses of a rule for one parameter.
final class RuleReader {
    /// Axes that a checkpoint may lack, where no mesh is written: they have degree 1.
    private static final Set<String> STANDARD_AXES = Set.of("pp", "dp", "tp", "ep", "edp", "cp");

    private final Mesh mesh;
    private final boolean meshWritten;
    private final Numbers numbers;
    private final MemberPlaces members;
    private final Problems problems;

    RuleReader(
            Mesh mesh,
            boolean meshWritten,
            Numbers numbers,
            MemberPlaces members,
            Problems problems) {
        this.mesh = mesh;
        this.meshWritten = meshWritten;
        this.numbers = numbers;
        this.members = members;
        this.problems = problems;
    }

    /// Checks that an axis is one of the mesh.
    boolean knows(Name axis) {
        String text = axis.text();
        if (mesh.has(text) || (!meshWritten && STANDARD_AXES.contains(text))) {
            return true;
        }
        Set<String> names = new LinkedHashSet<>(mesh.products().keySet());
        mesh.axes().forEach(a -> names.add(a.axis()));
        problems.error(
                axis.span(),
                "'%s' is no axis of the mesh; expected one of %s"
                        .formatted(text, String.join(", ", names)),
                problems.near().hint(text, names));
        return false;
    }

    /// What a rule says of the parameter with these captures (of its global name).
    ///
    /// @return nothing where the rule cannot be evaluated; then that has been said
    Optional<Reading> read(ParamRule rule, Map<String, String> captures) {
        return new Reader(rule, captures).read();
    }

    /// What the clauses of a state say on their own.
    ///
    /// @return nothing where they cannot be evaluated; then that has been said
    Optional<Reading> read(List<Clause> clauses, Span span) {
        List<Commented<Clause>> layout = clauses.stream().map(Commented::of).toList();
        return read(
                new ParamRule(false, false, List.of(), Optional.empty(), layout, span), Map.of());
    }

    private final class Reader {
        private final ParamRule rule;
        private final Map<String, String> captures;
        private final List<Step> steps = new ArrayList<>();
        private final Map<String, Span> axes = new HashMap<>();
        private final List<Reading.Padding> padding = new ArrayList<>();
        private final Map<String, DType> casts = new LinkedHashMap<>();
        private final Set<String> takeFirst = new LinkedHashSet<>();
        private boolean unique;
        private boolean frozen;
        private Optional<Clause.Flatten> flatten = Optional.empty();
        private Optional<Clause.WithStates> states = Optional.empty();
        private Optional<NamePattern.Glob> stagedWith = Optional.empty();
        private Optional<NamePattern.Glob> tiedTo = Optional.empty();

        /// The parts that `shard each` splits.
        private Optional<Clause.Fuse> fuse = Optional.empty();

        /// Whether a `shard each` split them before.
        private boolean split;

        private boolean broken;

        Reader(ParamRule rule, Map<String, String> captures) {
            this.rule = rule;
            this.captures = captures;
        }

        Optional<Reading> read() {
            Optional<List<Long>> declared = rule.shape().flatMap(this::extents);
            broken |= rule.shape().isPresent() && declared.isEmpty();
            rule.layout().forEach(this::clause);
            if (broken) {
                return Optional.empty();
            }
            return Optional.of(
                    new Reading(
                            new Chain(steps),
                            takeFirst,
                            declared,
                            padding,
                            !unique && steps.isEmpty() && stagedWith.isEmpty(),
                            unique,
                            frozen,
                            casts,
                            flatten,
                            states,
                            stagedWith,
                            tiedTo));
        }

        private void clause(Clause clause) {
            switch (clause) {
                case Clause.Unique _ -> unique = true;
                case Clause.Scalar s ->
                        fail(s.span(), "'scalar' of a parameter; expected it in a states block");
                case Clause.Replicate r -> replicate(r);
                case Clause.Average a ->
                        step(a.axis(), Optional.of(new Layout.Averaged()), a.span());
                case Clause.Shard s ->
                        step(
                                s.axis(),
                                widths(s.widths()).map(w -> new Layout.Sharded(s.dim().index(), w)),
                                s.span());
                case Clause.Fuse f -> {
                    fuse = Optional.of(f);
                    split = false;
                }
                case Clause.ShardEach s -> shardEach(s);
                case Clause.View v -> view(v);
                case Clause.Expert e -> placed(e, e.capture(), e.axis());
                case Clause.StageOf s -> placed(s, s.capture(), s.axis());
                case Clause.StageAt s ->
                        step(
                                s.axis(),
                                position(s.position(), s.axis(), s.span()).map(Layout.Placed::at),
                                s.span());
                case Clause.StageWith s -> stagedWith = Optional.of(s.name());
                case Clause.TiedTo t -> tiedTo = Optional.of(t.name());
                case Clause.Flatten f -> {
                    if (knows(f.axis())) {
                        flatten = Optional.of(f);
                    } else {
                        broken = true;
                    }
                }
                case Clause.Pad p -> pad(p);
                case Clause.Frozen _ -> frozen = true;
                case Clause.WithStates w -> states = Optional.of(w);
                case Clause.Cast c ->
                        dtype(c.dtype(), problems)
                                .ifPresentOrElse(
                                        d -> casts.put(c.state().text(), d), () -> broken = true);
            }
        }

        private void fail(Span span, String message) {
            problems.error(span, message);
            broken = true;
        }

        /// @param layout absent where it could not be evaluated
        private void step(Name axis, Optional<? extends Layout> layout, Span span) {
            if (!knows(axis) || layout.isEmpty()) {
                broken = true;
                return;
            }
            for (String factor : mesh.factors(axis.text())) {
                Span before = axes.putIfAbsent(factor, span);
                if (before != null) {
                    fail(span, "a second clause over %s; expected one".formatted(factor));
                    return;
                }
            }
            steps.add(new Step(axis.text(), layout.get()));
        }

        private void replicate(Clause.Replicate r) {
            if (r.takeFirst()) {
                takeFirst.add(r.axis().text());
            }
            if (r.at().isEmpty()) {
                step(r.axis(), Optional.of(new Layout.Replicated()), r.span());
                return;
            }
            Set<Integer> indices = new LinkedHashSet<>();
            for (Position p : r.at()) {
                position(p, r.axis(), r.span()).ifPresent(indices::add);
            }
            step(
                    r.axis(),
                    indices.isEmpty() ? Optional.empty() : Optional.of(new Layout.Placed(indices)),
                    r.span());
        }

        private Optional<Integer> position(Position position, Name axis, Span span) {
            int degree = mesh.degree(axis.text());
            return switch (position) {
                case Position.First() -> Optional.of(0);
                case Position.Last() -> Optional.of(degree - 1);
                case Position.Nth(int index) -> {
                    if (index >= degree) {
                        fail(
                                span,
                                "%s %d; expected less than its degree %d"
                                        .formatted(axis, index, degree));
                        yield Optional.empty();
                    }
                    yield Optional.of(index);
                }
            };
        }

        private void placed(Clause clause, Name capture, Name axis) {
            String value = captures.get(capture.text());
            if (value == null) {
                fail(
                        capture.span(),
                        "{%s} captures nothing of a name that the pattern matches; expected one of its captures that always does"
                                .formatted(capture));
                return;
            }
            OptionalInt index = members.place(clause, value);
            if (index.isEmpty()) {
                broken = true;
                return;
            }
            step(axis, Optional.of(Layout.Placed.at(index.getAsInt())), clause.span());
        }

        private void shardEach(Clause.ShardEach s) {
            if (fuse.isEmpty()) {
                fail(s.span(), "'shard each' without parts; expected 'fuse dim D (..)' before it");
                return;
            }
            if (split) {
                splitAgain(s, fuse.get());
                return;
            }
            List<Layout.Part> parts = new ArrayList<>();
            for (Part part : fuse.get().parts()) {
                OptionalLong extent =
                        part.extent().map(numbers::value).orElse(OptionalLong.empty());
                Optional<Widths> widths = widths(s.widths(), part.name());
                if ((part.extent().isPresent() && extent.isEmpty()) || widths.isEmpty()) {
                    broken = true;
                    continue;
                }
                parts.add(new Layout.Part(part.name().text(), extent, widths.get()));
            }
            int dim = fuse.get().dim().index();
            step(s.axis(), Optional.of(new Layout.Fused(dim, parts)), s.span());
            split = true;
        }

        private void splitAgain(Clause.ShardEach s, Clause.Fuse parts) {
            List<Widths> widths = new ArrayList<>();
            for (Part part : parts.parts()) {
                widths(s.widths(), part.name()).ifPresentOrElse(widths::add, () -> broken = true);
            }
            int dim = parts.dim().index();
            step(s.axis(), Optional.of(new Layout.FusedAgain(dim, widths)), s.span());
        }

        private Optional<Widths> widths(io.ucp.lang.ast.Widths widths) {
            return switch (widths) {
                case io.ucp.lang.ast.Widths.Even() -> Optional.of(Widths.Rule.EVEN);
                case io.ucp.lang.ast.Widths.Ceil() -> Optional.of(Widths.Rule.CEIL);
                case io.ucp.lang.ast.Widths.Balanced() -> Optional.of(Widths.Rule.BALANCED);
                case io.ucp.lang.ast.Widths.Listed(var listed) ->
                        numbers.values(listed).map(Widths.Listed::new);
                case io.ucp.lang.ast.Widths.ByPart _ -> Optional.empty();
            };
        }

        private Optional<Widths> widths(io.ucp.lang.ast.Widths widths, Name part) {
            if (!(widths instanceof io.ucp.lang.ast.Widths.ByPart(var parts))) {
                return widths(widths);
            }
            List<Expr> own =
                    parts.stream()
                            .filter(p -> p.part().text().equals(part.text()))
                            .findFirst()
                            .map(io.ucp.lang.ast.Widths.PartWidths::widths)
                            .orElse(List.of());
            if (own.isEmpty()) {
                fail(
                        part.span(),
                        "part '%s' has no widths; expected a list for every part".formatted(part));
                return Optional.empty();
            }
            return numbers.values(own).map(Widths.Listed::new);
        }

        private void view(Clause.View v) {
            Optional<List<Long>> extents = extents(v.shape());
            if (extents.isEmpty()) {
                broken = true;
                return;
            }
            try {
                steps.add(Step.view(Extents.shape(extents.get())));
            } catch (ImpossibleLayoutException e) {
                fail(v.span(), e.problem());
            }
        }

        private Optional<List<Long>> extents(io.ucp.lang.ast.Shape shape) {
            Optional<List<Long>> extents = numbers.values(shape.extents());
            Optional<List<Long>> negative =
                    extents.filter(e -> e.stream().anyMatch(extent -> extent < 0));
            negative.ifPresent(
                    e ->
                            fail(
                                    shape.span(),
                                    "the shape %s; expected extents of 0 or more".formatted(e)));
            return negative.isPresent() ? Optional.empty() : extents;
        }

        private void pad(Clause.Pad p) {
            OptionalLong multiple = numbers.value(p.multiple());
            OptionalLong real = p.extent().map(numbers::value).orElse(OptionalLong.empty());
            if (multiple.isEmpty() || (p.extent().isPresent() && real.isEmpty())) {
                broken = true;
            } else if (real.isPresent() && real.getAsLong() < 0) {
                fail(p.span(), "%d rows; expected 0 or more".formatted(real.getAsLong()));
            } else if (multiple.getAsLong() < 1) {
                fail(p.span(), "multiple %d; expected 1 or more".formatted(multiple.getAsLong()));
            } else {
                padding.add(new Reading.Padding(p.dim().index(), real, multiple.getAsLong()));
            }
        }
    }

    /// The dtype of a short or a torch name.
    static Optional<DType> dtype(Name name, Problems problems) {
        Map<String, DType> shortNames =
                Map.of(
                        "fp64", DType.FLOAT64,
                        "fp32", DType.FLOAT32,
                        "fp16", DType.FLOAT16,
                        "bf16", DType.BFLOAT16,
                        "fp8_e4m3", DType.FLOAT8_E4M3FN,
                        "fp8_e5m2", DType.FLOAT8_E5M2);
        Optional<DType> dtype =
                Optional.ofNullable(shortNames.get(name.text()))
                        .or(() -> DType.ofTorchName(name.text()));
        if (dtype.isEmpty()) {
            Set<String> names = new LinkedHashSet<>(shortNames.keySet());
            for (DType d : DType.values()) {
                names.add(d.torchName());
            }
            problems.error(
                    name.span(),
                    "'%s' is no dtype; expected bf16, fp16, fp32, fp64 or torch's name of one"
                            .formatted(name),
                    problems.near().hint(name.text(), names));
        }
        return dtype;
    }
}
