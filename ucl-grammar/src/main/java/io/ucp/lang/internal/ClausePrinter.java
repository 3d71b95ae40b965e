package io.ucp.lang.internal;

import static io.ucp.lang.internal.TermPrinter.expression;
import static io.ucp.lang.internal.TermPrinter.list;
import static io.ucp.lang.internal.TermPrinter.name;
import static io.ucp.lang.internal.TermPrinter.parts;
import static io.ucp.lang.internal.TermPrinter.pattern;
import static io.ucp.lang.internal.TermPrinter.shape;

import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.Position;
import io.ucp.lang.ast.Widths;

import java.util.List;
import java.util.stream.Collectors;

/// Writes a clause in its canonical words, on one line.
final class ClausePrinter {
    private ClausePrinter() {}

    static String clause(Clause clause) {
        return switch (clause) {
            case Clause.Unique _ -> "unique";
            case Clause.Scalar _ -> "scalar";
            case Clause.Frozen _ -> "frozen";
            case Clause.Replicate(Name axis, List<Position> at, boolean takeFirst, _) ->
                    "replicate" + over(axis) + at(at) + (takeFirst ? " take first" : "");
            case Clause.Average(Name axis, _) -> "average" + over(axis);
            case Clause.Shard(var dim, Name axis, Widths widths, _) ->
                    "shard dim " + dim.index() + over(axis) + widths(widths);
            case Clause.Fuse(var dim, var named, _) ->
                    "fuse dim " + dim.index() + " " + parts(named);
            case Clause.ShardEach(Name axis, Widths widths, _) ->
                    "shard each" + over(axis) + widths(widths);
            case Clause.View(var shape, _) -> "view " + shape(shape);
            case Clause.Expert(Name capture, Name axis, boolean local, _) ->
                    "expert " + name(capture) + over(axis) + (local ? " local" : "");
            case Clause.StageOf stage -> stage(stage);
            case Clause.StageAt(Position position, Name axis, _) ->
                    "stage " + position(position) + over(axis);
            case Clause.StageWith(var target, _) -> "stage with " + pattern(target);
            case Clause.TiedTo(var target, _) -> "tied to " + pattern(target);
            case Clause.Flatten(Name axis, boolean each, _) ->
                    (each ? "flatten each" : "flatten") + over(axis);
            case Clause.Pad(var dim, var extent, var multiple, _) ->
                    "pad dim "
                            + dim.index()
                            + extent.map(rows -> " from " + expression(rows)).orElse("")
                            + " to multiple "
                            + expression(multiple);
            case Clause.WithStates(Name states, _) -> "with states " + name(states);
            case Clause.Cast(Name state, Name dtype, _) ->
                    "cast " + name(state) + " to " + name(dtype);
        };
    }

    private static String over(Name axis) {
        return " over " + name(axis);
    }

    private static String at(List<Position> positions) {
        return positions.isEmpty()
                ? ""
                : positions.stream()
                        .map(ClausePrinter::position)
                        .collect(Collectors.joining(", ", " at (", ")"));
    }

    private static String position(Position position) {
        return switch (position) {
            case Position.First() -> "first";
            case Position.Last() -> "last";
            case Position.Nth(int index) -> Integer.toString(index);
        };
    }

    private static String widths(Widths widths) {
        return switch (widths) {
            case Widths.Even() -> "";
            case Widths.Ceil() -> " ceil";
            case Widths.Balanced() -> " balanced";
            case Widths.Listed(var listed) -> " widths " + list(listed);
            case Widths.ByPart(var byPart) ->
                    byPart.stream()
                            .map(one -> name(one.part()) + ": " + list(one.widths()))
                            .collect(Collectors.joining(", ", " widths (", ")"));
        };
    }

    private static String stage(Clause.StageOf stage) {
        return "stage "
                + name(stage.capture())
                + over(stage.axis())
                + stage.counts().map(counts -> " stages " + list(counts)).orElse("")
                + stage.virtual().map(chunks -> " virtual " + expression(chunks)).orElse("")
                + (stage.renumbered() ? " renumbered" : "");
    }
}
