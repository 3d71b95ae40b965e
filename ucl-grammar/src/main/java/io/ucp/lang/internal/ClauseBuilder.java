package io.ucp.lang.internal;

import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.Position;
import io.ucp.lang.ast.RenameStep;
import io.ucp.lang.ast.Widths;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.Span;

import org.antlr.v4.runtime.ParserRuleContext;
import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Optional;

/// Builds what stands between the braces of a rule.
final class ClauseBuilder {
    private static final int MAX_POSITION = 999_999;

    private final TermBuilder terms;
    private final CommentReader comments;

    ClauseBuilder(TermBuilder terms, CommentReader comments) {
        this.terms = terms;
        this.comments = comments;
    }

    /// The clauses that are well formed.
    List<Commented<Clause>> clauses(List<UclParser.ClauseContext> contexts) {
        return contexts.stream()
                .filter(context -> context.exception == null)
                .map(context -> comments.with(clause(child(context)), context))
                .toList();
    }

    List<Clause> stateClauses(List<UclParser.StateClauseContext> contexts) {
        return contexts.stream().map(context -> clause(child(context))).toList();
    }

    private static ParserRuleContext child(ParserRuleContext context) {
        return (ParserRuleContext) context.getChild(0);
    }

    private Clause clause(ParserRuleContext context) {
        Span span = terms.span(context);
        return switch (context) {
            case UclParser.UniqueContext _ -> new Clause.Unique(span);
            case UclParser.ScalarContext _ -> new Clause.Scalar(span);
            case UclParser.FrozenContext _ -> new Clause.Frozen(span);
            case UclParser.ReplicateContext replicate -> replicate(replicate, span);
            case UclParser.AverageContext average ->
                    new Clause.Average(terms.name(average.over().axisName()), span);
            case UclParser.ShardContext shard -> shard(shard, span);
            case UclParser.NotContiguousContext shard -> notContiguous(shard, span);
            case UclParser.FuseContext fuse ->
                    new Clause.Fuse(
                            terms.dimension(fuse.dimension()), terms.parts(fuse.parts()), span);
            case UclParser.ViewContext view -> new Clause.View(terms.shape(view.shape()), span);
            case UclParser.ExpertContext expert ->
                    new Clause.Expert(
                            terms.name(expert.captureName()),
                            terms.name(expert.over().axisName()),
                            expert.LOCAL() != null,
                            span);
            case UclParser.StageContext stage -> stage(stage, span);
            case UclParser.TiedContext tied -> new Clause.TiedTo(terms.target(tied.target()), span);
            case UclParser.FlattenContext flatten -> flatten(flatten);
            case UclParser.PadContext pad ->
                    new Clause.Pad(
                            terms.dimension(pad.dimension()),
                            Optional.ofNullable(pad.FROM())
                                    .map(_ -> terms.expression(pad.expression(0))),
                            terms.expression(pad.expression().getLast()),
                            span);
            case UclParser.WithStatesContext with ->
                    new Clause.WithStates(terms.name(with.name()), span);
            case UclParser.CastContext cast ->
                    new Clause.Cast(terms.name(cast.stateName()), terms.dtype(cast.dtype()), span);
            default -> throw new AssertionError("clause " + context.getClass().getSimpleName());
        };
    }

    Clause.Flatten flatten(UclParser.FlattenContext context) {
        return new Clause.Flatten(
                terms.name(context.over().axisName()), context.EACH() != null, terms.span(context));
    }

    private Clause replicate(UclParser.ReplicateContext context, Span span) {
        List<Position> at = context.position().stream().map(this::position).toList();
        return new Clause.Replicate(
                terms.name(context.over().axisName()), at, context.TAKE() != null, span);
    }

    private Position position(UclParser.PositionContext context) {
        return switch (context.start.getType()) {
            case UclLexer.FIRST -> Position.FIRST;
            case UclLexer.LAST -> Position.LAST;
            default -> new Position.Nth(terms.index(context.start, "position", MAX_POSITION));
        };
    }

    private Clause shard(UclParser.ShardContext context, Span span) {
        return context.EACH() == null
                ? new Clause.Shard(
                        terms.dimension(context.dimension()),
                        terms.name(context.over().axisName()),
                        widths(context.widths()),
                        span)
                : new Clause.ShardEach(
                        terms.name(context.over().axisName()), widths(context.partWidths()), span);
    }

    private Clause notContiguous(UclParser.NotContiguousContext context, Span span) {
        return context.EACH() == null
                ? new Clause.Fuse(
                        terms.dimension(context.dimension()), terms.parts(context.parts()), span)
                : new Clause.ShardEach(
                        terms.name(context.over().axisName()), widths(context.partWidths()), span);
    }

    private Widths widths(UclParser.@Nullable WidthsContext context) {
        if (context == null) {
            return Widths.EVEN;
        }
        return switch (context.start.getType()) {
            case UclLexer.CEIL -> new Widths.Ceil();
            case UclLexer.BALANCED -> new Widths.Balanced();
            default -> new Widths.Listed(terms.list(context.list()));
        };
    }

    private Widths widths(UclParser.@Nullable PartWidthsContext context) {
        if (context == null) {
            return Widths.EVEN;
        }
        return switch (context.start.getType()) {
            case UclLexer.CEIL -> new Widths.Ceil();
            case UclLexer.BALANCED -> new Widths.Balanced();
            default ->
                    new Widths.ByPart(
                            context.onePartWidths().stream().map(this::partWidths).toList());
        };
    }

    private Widths.PartWidths partWidths(UclParser.OnePartWidthsContext context) {
        return new Widths.PartWidths(
                terms.name(context.partName()), terms.list(context.list()), terms.span(context));
    }

    private Clause stage(UclParser.StageContext context, Span span) {
        if (context.WITH() != null) {
            return new Clause.StageWith(terms.target(context.target()), span);
        }
        Name axis = terms.name(context.over().axisName());
        if (context.FIRST() != null) {
            return new Clause.StageAt(Position.FIRST, axis, span);
        }
        if (context.LAST() != null) {
            return new Clause.StageAt(Position.LAST, axis, span);
        }
        if (context.INT() != null) {
            int number = terms.index(context.INT().getSymbol(), "stage", MAX_POSITION);
            return new Clause.StageAt(new Position.Nth(number), axis, span);
        }
        return new StageOptions(context.stageOption())
                .of(terms.name(context.captureName()), axis, span);
    }

    /// The words after `stage L over AXIS`, in any order, each once.
    private final class StageOptions {
        private Optional<List<Expr>> counts = Optional.empty();
        private Optional<Expr> virtual = Optional.empty();
        private boolean uniform;
        private boolean renumbered;

        StageOptions(List<UclParser.StageOptionContext> contexts) {
            contexts.forEach(this::add);
        }

        private void add(UclParser.StageOptionContext context) {
            boolean cut = context.UNIFORM() != null || context.STAGES() != null;
            boolean twice =
                    (cut && (uniform || counts.isPresent()))
                            || (context.VIRTUAL() != null && virtual.isPresent())
                            || (context.RENUMBERED() != null && renumbered);
            if (twice) {
                String message =
                        "'%s' where that is said already; expected each option of a stage once"
                                .formatted(context.start.getText());
                terms.problem(Diagnostic.error(terms.span(context), message));
            } else if (context.STAGES() != null) {
                counts = Optional.of(terms.list(context.list()));
            } else if (context.VIRTUAL() != null) {
                virtual = Optional.of(terms.expression(context.expression()));
            } else if (context.RENUMBERED() != null) {
                renumbered = true;
            } else {
                uniform = true;
            }
        }

        Clause of(Name capture, Name axis, Span span) {
            return new Clause.StageOf(capture, axis, counts, virtual, renumbered, span);
        }
    }

    /// The steps that are well formed.
    List<Commented<RenameStep>> steps(List<UclParser.RenameStepContext> contexts) {
        return contexts.stream()
                .filter(context -> context.exception == null)
                .map(context -> comments.with(step(context), context))
                .toList();
    }

    /// The comments of steps inside a step are its own.
    private List<RenameStep> inner(List<UclParser.RenameStepContext> contexts) {
        return contexts.stream()
                .filter(context -> context.exception == null)
                .map(this::step)
                .toList();
    }

    private RenameStep step(UclParser.RenameStepContext context) {
        Span span = terms.span(context);
        return switch (context.start.getType()) {
            case UclLexer.SPLIT ->
                    new RenameStep.Split(
                            terms.dimension(context.dimension(0)),
                            terms.parts(context.parts()),
                            span);
            case UclLexer.JOIN ->
                    new RenameStep.Join(
                            terms.dimension(context.dimension(0)),
                            terms.parts(context.parts()),
                            span);
            case UclLexer.STACK ->
                    new RenameStep.Stack(
                            terms.name(context.captureName()),
                            terms.expression(context.expression()),
                            span);
            case UclLexer.UNSTACK ->
                    new RenameStep.Unstack(
                            terms.name(context.captureName()),
                            terms.expression(context.expression()),
                            span);
            case UclLexer.TRANSPOSE -> new RenameStep.Transpose(swap(context), span);
            case UclLexer.PERMUTE ->
                    new RenameStep.Permute(terms.dimensions(context.dimension()), span);
            case UclLexer.FOR ->
                    new RenameStep.ForParts(
                            terms.names(context.partName()), inner(context.renameStep()), span);
            default -> new RenameStep.View(terms.shape(context.view().shape()), span);
        };
    }

    private Optional<RenameStep.Swap> swap(UclParser.RenameStepContext context) {
        return context.dimension().isEmpty()
                ? Optional.empty()
                : Optional.of(
                        new RenameStep.Swap(
                                terms.dimension(context.dimension(0)),
                                terms.dimension(context.dimension(1))));
    }
}
