package io.ucp.lang.internal;

import static io.ucp.lang.internal.TermPrinter.name;

import io.ucp.lang.ast.AxisProduct;
import io.ucp.lang.ast.CastRule;
import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Comments;
import io.ucp.lang.ast.DropRule;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.FrozenRule;
import io.ucp.lang.ast.GroupRule;
import io.ucp.lang.ast.Import;
import io.ucp.lang.ast.Let;
import io.ucp.lang.ast.Matching;
import io.ucp.lang.ast.Mesh;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.RenameRule;
import io.ucp.lang.ast.RenameStep;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.SpecName;
import io.ucp.lang.ast.Statement;
import io.ucp.lang.ast.States;

import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/// Writes a spec in the one canonical form, from the tree alone. Statements keep their order. A
/// block stands on one line where it fits and has no comment inside, else each clause has a line of
/// its own.
public final class Printer {
    private final Lines lines = new Lines();

    private Printer() {}

    /// The canonical text, with a line end behind every line.
    public static String print(Spec spec) {
        Printer printer = new Printer();
        printer.spec(spec);
        return printer.lines.text();
    }

    private void spec(Spec spec) {
        lines.node("ucl " + spec.version(), withoutClosing(spec.comments()));
        int section = -1;
        for (Commented<Statement> statement : spec.statements()) {
            int next = section(statement.node());
            if (next != section) {
                lines.empty();
            }
            section = next;
            statement(statement.node(), statement.comments());
        }
        lines.comments(spec.comments().closing());
    }

    private static Comments withoutClosing(Comments comments) {
        return new Comments(comments.leading(), comments.trailing(), List.of());
    }

    /// Statements of one section stand together, an empty line sets sections apart.
    private static int section(Statement statement) {
        return switch (statement) {
            case Import _, SpecName _, Matching _ -> 0;
            case Mesh _, AxisProduct _, Let _ -> 1;
            case States _ -> 2;
            case ParamRule _ -> 3;
            case GroupRule _ -> 4;
            case RenameRule _ -> 5;
            case DropRule _, FrozenRule _, CastRule _ -> 6;
        };
    }

    private void statement(Statement statement, Comments comments) {
        switch (statement) {
            case Import(String target, _) -> lines.node("import " + target(target), comments);
            case SpecName(Name name, _) -> lines.node("spec " + name(name), comments);
            case Mesh(List<Mesh.Axis> axes, _) -> lines.node("mesh " + axes(axes), comments);
            case AxisProduct(Name name, List<Name> factors, _) ->
                    lines.node(
                            "axis " + name(name) + " = (" + TermPrinter.names(factors) + ")",
                            comments);
            case Let(Name name, Expr value, _) ->
                    lines.node(
                            "let " + name(name) + " = " + TermPrinter.expression(value), comments);
            case States states -> states(states, comments);
            case ParamRule rule -> param(rule, comments);
            case GroupRule rule -> group(rule, comments);
            case RenameRule rule -> rename(rule, comments);
            case DropRule(boolean optional, var patterns, _) ->
                    lines.node(optional(optional) + patterns("drop ", patterns, ""), comments);
            case FrozenRule(boolean optional, var patterns, _) ->
                    lines.node(optional(optional) + patterns("frozen ", patterns, ""), comments);
            case CastRule(Name state, Name dtype, _) ->
                    lines.node("cast " + name(state) + " to " + name(dtype), comments);
            case Matching(Matching.Mode mode, _) -> lines.node(mode(mode), comments);
        }
    }

    private static String target(String target) {
        return Name.isName(target) && !Words.isWord(target) ? target : TermPrinter.quoted(target);
    }

    static String mode(Matching.Mode mode) {
        return switch (mode) {
            case FIRST_MATCH_WINS -> "first match wins";
            case EVERY_RULE_OPTIONAL -> "every rule optional";
        };
    }

    private static String axes(List<Mesh.Axis> axes) {
        return axes.stream().map(Printer::axis).collect(Collectors.joining(", ", "(", ")"));
    }

    private static String axis(Mesh.Axis axis) {
        String degree = axis.degree().map(Printer::degree).orElse("");
        String factors = axis.factors().isEmpty() ? "" : " = " + axes(axis.factors());
        return name(axis.name()) + degree + factors;
    }

    private static String degree(Expr degree) {
        String text = TermPrinter.expression(degree);
        return degree instanceof Expr.Literal ? " " + text : " (" + text + ")";
    }

    private static String optional(boolean optional) {
        return optional ? "optional " : "";
    }

    private void states(States states, Comments comments) {
        String head = "states " + name(states.name());
        lines.block(head, states.entries(), Printer::entry, "; ", "", comments);
    }

    private static String entry(States.Entry entry) {
        String layout =
                entry.layout().stream().map(ClausePrinter::clause).collect(Collectors.joining(" "));
        return TermPrinter.names(entry.states()) + (layout.isEmpty() ? "" : ": " + layout);
    }

    private void param(ParamRule rule, Comments comments) {
        String prefix = (rule.fallback() ? "default " : "") + optional(rule.optional());
        String shape = rule.shape().map(s -> " : " + TermPrinter.shape(s)).orElse("");
        String head = patterns(prefix + "param ", rule.patterns(), shape);
        if (rule.clauses().isEmpty() && comments.closing().isEmpty()) {
            lines.node(head, comments);
        } else {
            lines.block(head, rule.clauses(), ClausePrinter::clause, "; ", "", comments);
        }
    }

    private void group(GroupRule rule, Comments comments) {
        String tail =
                rule.order().map(Printer::order).orElse("")
                        + rule.states().map(states -> " with states " + name(states)).orElse("")
                        + rule.flatten().map(flat -> " " + ClausePrinter.clause(flat)).orElse("");
        String head = optional(rule.optional()) + "group " + name(rule.name());
        lines.block(head, rule.members(), TermPrinter::pattern, ", ", tail, comments);
    }

    private static String order(GroupRule.Order order) {
        return switch (order) {
            case CHECKPOINT -> " order checkpoint";
            case LISTED -> " order listed";
        };
    }

    private void rename(RenameRule rule, Comments comments) {
        String head = optional(rule.optional()) + "rename ";
        String left = joined(rule.left(), ", ");
        String right = joined(rule.right(), ", ");
        String names = head + left + " <-> " + right;
        if (names.length() > Lines.WIDTH - 2) {
            String indent = " ".repeat(head.length());
            names =
                    head
                            + joined(rule.left(), ",\n" + indent)
                            + "\n    <-> "
                            + joined(rule.right(), ",\n        ");
        }
        if (rule.steps().isEmpty() && comments.closing().isEmpty()) {
            lines.node(names, comments);
        } else {
            lines.block(names, rule.steps(), Printer::step, "; ", "", comments);
        }
    }

    private static String step(RenameStep step) {
        return switch (step) {
            case RenameStep.View(var shape, _) -> "view " + TermPrinter.shape(shape);
            case RenameStep.Split(var dim, var parts, _) ->
                    "split dim " + dim.index() + " " + TermPrinter.parts(parts);
            case RenameStep.Join(var dim, var parts, _) ->
                    "join dim " + dim.index() + " " + TermPrinter.parts(parts);
            case RenameStep.Stack(var capture, var count, _) -> "stack " + each(capture, count);
            case RenameStep.Unstack(var capture, var count, _) -> "unstack " + each(capture, count);
            case RenameStep.Transpose(Optional<RenameStep.Swap> dims, _) ->
                    "transpose" + dims.map(Printer::swap).orElse("");
            case RenameStep.Permute(var order, _) ->
                    "permute (" + TermPrinter.dimensions(order) + ")";
            case RenameStep.ForParts(var parts, var steps, _) ->
                    "for " + TermPrinter.names(parts) + " { " + inner(steps) + " }";
        };
    }

    private static String each(Name capture, Expr count) {
        return TermPrinter.name(capture) + " [" + TermPrinter.expression(count) + "]";
    }

    private static String swap(RenameStep.Swap swap) {
        return " (" + swap.first().index() + ", " + swap.second().index() + ")";
    }

    private static String inner(List<RenameStep> steps) {
        return steps.stream().map(Printer::step).collect(Collectors.joining("; "));
    }

    /// A head that lists patterns, one a line where they do not fit on one.
    private static String patterns(String head, List<? extends NamePattern> patterns, String tail) {
        String flat = head + joined(patterns, ", ") + tail;
        String indent = ",\n" + " ".repeat(head.length());
        return flat.length() <= Lines.WIDTH - 2 ? flat : head + joined(patterns, indent) + tail;
    }

    private static String joined(List<? extends NamePattern> patterns, String separator) {
        return patterns.stream().map(TermPrinter::pattern).collect(Collectors.joining(separator));
    }
}
