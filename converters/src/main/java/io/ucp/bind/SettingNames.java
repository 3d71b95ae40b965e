package io.ucp.bind;

import io.ucp.formats.CheckpointIndex;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Let;
import io.ucp.lang.ast.RenameStep;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.Widths;
import io.ucp.lang.diagnostic.NearestNames;
import io.ucp.lang.diagnostic.Span;
import io.ucp.mesh.Mesh;

import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/// The names that a spec's expressions read, so that a `--set` that nothing reads is not lost
/// silently.
public final class SettingNames {
    private final Set<String> names = new LinkedHashSet<>();

    private SettingNames() {}

    /// For a source that is read without its spec, since it holds every parameter whole.
    ///
    /// @throws io.ucp.lang.diagnostic.SpecException where nothing in the spec reads a name
    public static void check(Spec spec, CheckpointIndex index, Map<String, Long> settings) {
        Problems problems = new Problems();
        check(spec, MeshReader.of(index), settings, problems);
        problems.throwIfAny();
    }

    /// What a spec reads.
    public static Set<String> of(Spec spec) {
        SettingNames read = new SettingNames();
        read.spec(spec);
        return read.names;
    }

    static void check(Spec spec, Mesh mesh, Map<String, Long> settings, Problems problems) {
        SettingNames read = new SettingNames();
        read.spec(spec);
        for (String name : settings.keySet()) {
            Optional<Let> let =
                    spec.lets().stream().filter(l -> l.name().text().equals(name)).findFirst();
            if (let.isPresent()) {
                problems.error(
                        let.get().name().span(),
                        "--set %s: the spec itself gives '%s'; expected a name that it leaves open"
                                .formatted(name, name));
            } else if (mesh.has(name)) {
                problems.error(
                        Span.NONE,
                        "--set %s: the axis %s has %d ranks in the checkpoint; expected a name that it leaves open"
                                .formatted(name, name, mesh.degree(name)));
            } else if (!read.names.contains(name)) {
                problems.error(
                        Span.NONE,
                        "--set %s: nothing in the spec reads '%s'; expected %s"
                                .formatted(
                                        name,
                                        name,
                                        read.names.isEmpty()
                                                ? "no --set, since it reads no name"
                                                : "one of "
                                                        + String.join(
                                                                ", ", new TreeSet<>(read.names))),
                        NearestNames.hint(name, read.names));
            }
        }
    }

    private void spec(Spec spec) {
        spec.lets()
                .forEach(
                        let -> {
                            names.add(let.name().text());
                            expression(let.value());
                        });
        spec.mesh()
                .ifPresent(
                        m ->
                                m.axes()
                                        .forEach(
                                                a -> {
                                                    a.degree().ifPresent(this::expression);
                                                    a.factors()
                                                            .forEach(
                                                                    f ->
                                                                            f.degree()
                                                                                    .ifPresent(
                                                                                            this
                                                                                                    ::expression));
                                                }));
        spec.params()
                .forEach(
                        p -> {
                            p.shape().ifPresent(s -> s.extents().forEach(this::expression));
                            p.layout().forEach(this::clause);
                        });
        spec.states()
                .forEach(b -> b.entries().forEach(e -> e.node().layout().forEach(this::clause)));
        spec.renames().forEach(r -> r.steps().forEach(s -> step(s.node())));
    }

    private void clause(Clause clause) {
        switch (clause) {
            case Clause.Shard s -> widths(s.widths());
            case Clause.ShardEach s -> widths(s.widths());
            case Clause.Fuse f -> f.parts().forEach(p -> p.extent().ifPresent(this::expression));
            case Clause.View v -> v.shape().extents().forEach(this::expression);
            case Clause.StageOf s -> {
                s.counts().ifPresent(c -> c.forEach(this::expression));
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

    private void step(RenameStep step) {
        switch (step) {
            case RenameStep.View v -> v.shape().extents().forEach(this::expression);
            case RenameStep.Split s ->
                    s.parts().forEach(p -> p.extent().ifPresent(this::expression));
            case RenameStep.Join j ->
                    j.parts().forEach(p -> p.extent().ifPresent(this::expression));
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
                    parts.forEach(p -> p.widths().forEach(this::expression));
            case Widths.Even(), Widths.Ceil(), Widths.Balanced() -> {
                // No expressions.
            }
        }
    }

    private void expression(Expr expression) {
        switch (expression) {
            case Expr.Reference(var name) -> names.add(name.text());
            case Expr.Binary b -> {
                expression(b.left());
                expression(b.right());
            }
            case Expr.Literal _ -> {
                // Reads nothing.
            }
        }
    }
}
