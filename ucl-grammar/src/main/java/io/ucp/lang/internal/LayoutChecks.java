package io.ucp.lang.internal;

import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Dimension;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.Part;
import io.ucp.lang.ast.Position;
import io.ucp.lang.ast.Shape;
import io.ucp.lang.ast.States;
import io.ucp.lang.ast.Widths;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.Span;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/// What can be wrong with the clauses of one rule.
final class LayoutChecks {
    private final Axes axes;
    private final Problems problems;

    LayoutChecks(Axes axes, Problems problems) {
        this.axes = axes;
        this.problems = problems;
    }

    /// Checks a rule.
    ///
    /// @param whole whether no clause of it was given up
    void param(ParamRule rule, boolean whole) {
        rule.shape().ifPresent(this::shape);
        List<Clause> layout = rule.layout();
        clauses(layout, rule.shape().map(s -> s.extents().size()), whole);
        layout.forEach(clause -> captures(clause, rule.patterns()));
    }

    /// Checks the layout of states.
    void states(States.Entry entry) {
        clauses(entry.layout(), Optional.empty(), true);
        boolean scalar = entry.layout().stream().anyMatch(Clause.Scalar.class::isInstance);
        if (scalar && entry.layout().size() > 1) {
            Span other = entry.layout().get(1).span();
            problems.add(Diagnostic.error(other, "a layout of a scalar; expected 'scalar' alone"));
        }
    }

    private void clauses(List<Clause> layout, Optional<Integer> declared, boolean whole) {
        Map<String, Name> axisOf = new HashMap<>();
        Map<String, Span> said = new HashMap<>();
        OptionalInt rank = declared.map(OptionalInt::of).orElse(OptionalInt.empty());
        for (int i = 0; i < layout.size(); i++) {
            Clause clause = layout.get(i);
            axis(clause).ifPresent(axis -> free(axis, axisOf));
            sayOnce(clause, said);
            numbers(clause);
            int dims = rank.orElse(Integer.MAX_VALUE);
            dimension(clause).ifPresent(dim -> inside(dim, dims));
            if (clause instanceof Clause.View(Shape shape, _)) {
                rank = OptionalInt.of(shape.extents().size());
            }
            if (whole) {
                order(layout, i);
            }
        }
    }

    private void free(Name axis, Map<String, Name> taken) {
        for (String plain : axes.plainAxes(axis)) {
            Name before = taken.putIfAbsent(plain, axis);
            if (before != null) {
                String message =
                        axis.text().equals(before.text())
                                ? "axis '%s' twice in one layout; expected each axis once"
                                        .formatted(axis)
                                : "axis '%s' where '%s' is used already, which shares '%s' with it"
                                        .formatted(axis, before, plain);
                problems.add(
                        Diagnostic.error(axis.span(), message, "first used at " + before.span()));
                return;
            }
        }
    }

    /// What a rule can say only once, by the words that say it.
    private void sayOnce(Clause clause, Map<String, Span> said) {
        Optional<String> words =
                Optional.ofNullable(
                        switch (clause) {
                            case Clause.Unique _ -> "unique";
                            case Clause.Frozen _ -> "frozen";
                            case Clause.Scalar _ -> "scalar";
                            case Clause.TiedTo _ -> "tied to";
                            case Clause.WithStates _ -> "with states";
                            case Clause.StageOf _, Clause.StageAt _, Clause.StageWith _ -> "stage";
                            case Clause.Expert _ -> "expert";
                            case Clause.Flatten _ -> "flatten";
                            case Clause.Cast(Name state, _, _) -> "cast " + state;
                            case Clause.Pad(Dimension dim, _, _, _) -> "pad dim " + dim.index();
                            case Clause.Replicate _,
                                    Clause.Average _,
                                    Clause.Shard _,
                                    Clause.ShardEach _,
                                    Clause.Fuse _,
                                    Clause.View _ ->
                                    null;
                        });
        words.ifPresent(
                text -> {
                    Span before = said.putIfAbsent(text, clause.span());
                    if (before != null) {
                        String message =
                                "'%s' twice in one layout; expected it once".formatted(text);
                        String hint = "the first is at " + before;
                        problems.add(Diagnostic.error(clause.span(), message, hint));
                    }
                });
    }

    /// What must stand before or behind a clause.
    private void order(List<Clause> layout, int at) {
        Clause clause = layout.get(at);
        List<Clause> before = layout.subList(0, at);
        List<Clause> behind = layout.subList(at + 1, layout.size());
        switch (clause) {
            case Clause.Fuse fuse -> {
                boolean split = !behind.isEmpty() && behind.getFirst() instanceof Clause.ShardEach;
                if (!split) {
                    String message =
                            "'fuse' alone; expected 'shard each over AXIS' straight behind it";
                    problems.add(Diagnostic.error(fuse.span(), message));
                }
            }
            case Clause.ShardEach each -> {
                Optional<Clause.Fuse> parts = partsOf(before);
                if (parts.isPresent()) {
                    partWidths(each, parts.get());
                } else {
                    String message =
                            "'shard each' alone; expected 'fuse dim D (..)' straight before it";
                    problems.add(Diagnostic.error(each.span(), message));
                }
            }
            case Clause.View view -> {
                if (behind.stream().noneMatch(LayoutChecks::cuts)) {
                    String message = "'view' with nothing behind it; expected a clause that cuts";
                    problems.add(Diagnostic.error(view.span(), message));
                }
            }
            case Clause.Pad pad -> {
                if (before.stream().anyMatch(LayoutChecks::cuts)) {
                    String message = "'pad' behind a clause that cuts; expected it before";
                    problems.add(Diagnostic.error(pad.span(), message));
                } else if (before.stream().anyMatch(Clause.View.class::isInstance)) {
                    String message =
                            "'pad' behind 'view'; expected it before: it pads the declared shape";
                    problems.add(Diagnostic.error(pad.span(), message));
                }
            }
            default -> {}
        }
    }

    /// The parts that a `shard each` behind these clauses splits: those of the `fuse` straight
    /// before it, or those that another `shard each` split, where nothing cut or viewed since.
    private static Optional<Clause.Fuse> partsOf(List<Clause> before) {
        boolean split = !before.isEmpty() && before.getLast() instanceof Clause.Fuse;
        for (Clause clause : before.reversed()) {
            if (clause instanceof Clause.Fuse fuse) {
                return split ? Optional.of(fuse) : Optional.empty();
            }
            if (clause instanceof Clause.ShardEach) {
                split = true;
            } else if (cuts(clause) || clause instanceof Clause.View) {
                return Optional.empty();
            }
        }
        return Optional.empty();
    }

    private static boolean cuts(Clause clause) {
        return clause instanceof Clause.Shard
                || clause instanceof Clause.ShardEach
                || clause instanceof Clause.Fuse
                || clause instanceof Clause.Flatten;
    }

    private void partWidths(Clause.ShardEach each, Clause.Fuse fuse) {
        if (!(each.widths() instanceof Widths.ByPart(var byPart))) {
            return;
        }
        List<String> parts = fuse.parts().stream().map(part -> part.name().text()).toList();
        List<Name> given = byPart.stream().map(Widths.PartWidths::part).toList();
        if (!given.stream().map(Name::text).toList().equals(parts)) {
            String message =
                    "widths for %s; expected them for %s"
                            .formatted(TermPrinter.names(given), String.join(", ", parts));
            problems.add(Diagnostic.error(each.span(), message));
        }
    }

    private void numbers(Clause clause) {
        switch (clause) {
            case Clause.Pad(_, Optional<Expr> extent, Expr multiple, _) -> {
                extent.ifPresent(this::expression);
                positive(multiple, "a multiple");
            }
            case Clause.View(Shape shape, _) -> shape(shape);
            case Clause.Fuse(_, List<Part> parts, _) -> {
                distinctParts(parts.stream().map(Part::name).toList(), problems);
                parts.forEach(part -> part.extent().ifPresent(this::expression));
            }
            case Clause.StageOf stage -> {
                stage.virtual().ifPresent(chunks -> positive(chunks, "a number of chunks"));
                stage.counts().ifPresent(counts -> counts.forEach(this::expression));
            }
            case Clause.Shard(_, _, Widths.Listed(List<Expr> widths), _) ->
                    widths.forEach(this::expression);
            case Clause.ShardEach(_, Widths.ByPart(var byPart), _) ->
                    byPart.forEach(part -> part.widths().forEach(this::expression));
            case Clause.Replicate(_, List<Position> at, _, Span span) -> positions(at, span);
            default -> {}
        }
    }

    private void positions(List<Position> at, Span span) {
        if (new HashSet<>(at).size() != at.size()) {
            problems.add(Diagnostic.error(span, "a position twice; expected each once"));
        }
    }

    private void shape(Shape shape) {
        shape.extents().forEach(this::expression);
    }

    /// Complains about a number that is written as 0 where it must not be.
    void positive(Expr expression, String what) {
        if (isZero(expression)) {
            String message = "%s of 0; expected 1 or more".formatted(what);
            problems.add(Diagnostic.error(expression.span(), message));
        }
        expression(expression);
    }

    /// Complains about divisions by a written 0.
    void expression(Expr expression) {
        if (expression instanceof Expr.Binary(Expr left, Expr.Operator operator, Expr right, _)) {
            if (operator == Expr.Operator.DIVIDE && isZero(right)) {
                String message = "a division by 0; expected another divisor";
                problems.add(Diagnostic.error(right.span(), message));
            }
            expression(left);
            expression(right);
        }
    }

    private static boolean isZero(Expr expression) {
        return expression instanceof Expr.Literal(long value, _) && value == 0;
    }

    static void distinctParts(List<Name> names, Problems problems) {
        Set<String> seen = new HashSet<>();
        for (Name name : names) {
            if (!seen.add(name.text())) {
                String message = "part '%s' twice; expected each name once".formatted(name);
                problems.add(Diagnostic.error(name.span(), message));
            }
        }
    }

    private void captures(Clause clause, List<NamePattern> patterns) {
        switch (clause) {
            case Clause.Expert(Name capture, _, _, _) ->
                    captured(capture.text(), capture.span(), patterns);
            case Clause.StageOf stage ->
                    captured(stage.capture().text(), stage.capture().span(), patterns);
            case Clause.StageWith(NamePattern.Glob target, Span span) ->
                    target.captures().forEach(name -> captured(name, span, patterns));
            case Clause.TiedTo(NamePattern.Glob target, Span span) ->
                    target.captures().forEach(name -> captured(name, span, patterns));
            default -> {}
        }
    }

    private void captured(String capture, Span span, List<NamePattern> patterns) {
        for (NamePattern pattern : patterns) {
            if (!pattern.captures().contains(capture)) {
                String message =
                        "'%s' is not captured by %s; expected {%s} in it"
                                .formatted(capture, TermPrinter.pattern(pattern), capture);
                problems.add(Diagnostic.error(span, message));
                return;
            }
        }
    }

    private void inside(Dimension dim, int rank) {
        if (dim.index() >= rank) {
            String expected = rank == 0 ? "none" : rank == 1 ? "0" : "0 to " + (rank - 1);
            String message =
                    "dimension %d of a shape that has %d; expected %s"
                            .formatted(dim.index(), rank, expected);
            problems.add(Diagnostic.error(dim.span(), message));
        }
    }

    private static Optional<Dimension> dimension(Clause clause) {
        return switch (clause) {
            case Clause.Shard(Dimension dim, _, _, _) -> Optional.of(dim);
            case Clause.Fuse(Dimension dim, _, _) -> Optional.of(dim);
            case Clause.Pad(Dimension dim, _, _, _) -> Optional.of(dim);
            default -> Optional.empty();
        };
    }

    /// The axis that a clause is over.
    static Optional<Name> axis(Clause clause) {
        return switch (clause) {
            case Clause.Replicate(Name axis, _, _, _) -> Optional.of(axis);
            case Clause.Average(Name axis, _) -> Optional.of(axis);
            case Clause.Shard(_, Name axis, _, _) -> Optional.of(axis);
            case Clause.ShardEach(Name axis, _, _) -> Optional.of(axis);
            case Clause.Expert(_, Name axis, _, _) -> Optional.of(axis);
            case Clause.StageOf stage -> Optional.of(stage.axis());
            case Clause.StageAt(_, Name axis, _) -> Optional.of(axis);
            case Clause.Flatten(Name axis, _, _) -> Optional.of(axis);
            case Clause.Unique _,
                    Clause.Scalar _,
                    Clause.Fuse _,
                    Clause.View _,
                    Clause.StageWith _,
                    Clause.TiedTo _,
                    Clause.Pad _,
                    Clause.Frozen _,
                    Clause.WithStates _,
                    Clause.Cast _ ->
                    Optional.empty();
        };
    }
}
