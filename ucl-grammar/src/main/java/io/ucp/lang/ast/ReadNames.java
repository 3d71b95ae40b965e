package io.ucp.lang.ast;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/// The names whose numbers a spec reads: those in its expressions, and those that names of a rename
/// count from (`{layers + 2}`) where no name captures them.
public final class ReadNames {
    private final Set<String> names = new LinkedHashSet<>();

    private ReadNames() {}

    /// In the order of the text, kind by kind.
    public static Set<String> of(Spec spec) {
        ReadNames read = new ReadNames();
        spec.lets().forEach(let -> read.expression(let.value()));
        spec.mesh().ifPresent(mesh -> mesh.axes().forEach(read::axis));
        spec.params()
                .forEach(
                        rule -> {
                            rule.shape().ifPresent(read::shape);
                            rule.layout().forEach(read::clause);
                        });
        spec.states().stream()
                .flatMap(block -> block.entries().stream())
                .forEach(entry -> entry.node().layout().forEach(read::clause));
        spec.renames().forEach(read::rename);
        return read.names;
    }

    private void axis(Mesh.Axis axis) {
        axis.degree().ifPresent(this::expression);
        axis.factors().forEach(this::axis);
    }

    private void shape(Shape shape) {
        shape.extents().forEach(this::expression);
    }

    private void parts(List<Part> parts) {
        parts.forEach(part -> part.extent().ifPresent(this::expression));
    }

    private void clause(Clause clause) {
        switch (clause) {
            case Clause.Shard s -> widths(s.widths());
            case Clause.ShardEach s -> widths(s.widths());
            case Clause.Fuse f -> parts(f.parts());
            case Clause.View v -> shape(v.shape());
            case Clause.StageOf s -> {
                s.counts().ifPresent(counts -> counts.forEach(this::expression));
                s.virtual().ifPresent(this::expression);
            }
            case Clause.Pad p -> {
                p.extent().ifPresent(this::expression);
                expression(p.multiple());
            }
            case Clause.Unique _,
                    Clause.Scalar _,
                    Clause.Replicate _,
                    Clause.Average _,
                    Clause.Expert _,
                    Clause.StageAt _,
                    Clause.StageWith _,
                    Clause.TiedTo _,
                    Clause.Flatten _,
                    Clause.Frozen _,
                    Clause.WithStates _,
                    Clause.Cast _ -> {
                // No expressions.
            }
        }
    }

    private void rename(RenameRule rule) {
        Set<String> captured = rule.captured();
        Stream.concat(rule.left().stream(), rule.right().stream())
                .map(NamePattern::captures)
                .flatMap(List::stream)
                .filter(name -> !captured.contains(name))
                .forEach(names::add);
        rule.steps().stream().map(Commented::node).forEach(this::step);
    }

    private void step(RenameStep step) {
        switch (step) {
            case RenameStep.View v -> shape(v.shape());
            case RenameStep.Split s -> parts(s.parts());
            case RenameStep.Join j -> parts(j.parts());
            case RenameStep.Stack s -> expression(s.count());
            case RenameStep.Unstack u -> expression(u.count());
            case RenameStep.ForParts f -> f.steps().forEach(this::step);
            case RenameStep.Transpose _, RenameStep.Permute _ -> {
                // No expressions.
            }
        }
    }

    private void widths(Widths widths) {
        switch (widths) {
            case Widths.Listed(var listed) -> listed.forEach(this::expression);
            case Widths.ByPart(var parts) ->
                    parts.forEach(part -> part.widths().forEach(this::expression));
            case Widths.Even(), Widths.Ceil(), Widths.Balanced() -> {
                // No expressions.
            }
        }
    }

    private void expression(Expr expression) {
        switch (expression) {
            case Expr.Reference(var name) -> names.add(name.text());
            case Expr.Binary binary -> {
                expression(binary.left());
                expression(binary.right());
            }
            case Expr.Literal _ -> {
                // Reads nothing.
            }
        }
    }
}
