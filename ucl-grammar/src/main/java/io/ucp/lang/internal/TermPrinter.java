package io.ucp.lang.internal;

import io.ucp.lang.ast.Dimension;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.NamePattern.Piece;
import io.ucp.lang.ast.Part;
import io.ucp.lang.ast.Shape;

import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/// Writes the terms that statements and clauses are made of. What it writes, [TermBuilder] reads
/// back.
final class TermPrinter {
    private TermPrinter() {}

    static String name(Name name) {
        return Words.isWord(name.text()) ? "`" + name.text() + "`" : name.text();
    }

    static String names(List<Name> names) {
        return names.stream().map(TermPrinter::name).collect(Collectors.joining(", "));
    }

    static String dimensions(List<Dimension> dims) {
        return dims.stream()
                .map(dim -> Integer.toString(dim.index()))
                .collect(Collectors.joining(", "));
    }

    static String shape(Shape shape) {
        return list(shape.extents());
    }

    static String list(List<Expr> expressions) {
        return expressions.stream()
                .map(TermPrinter::expression)
                .collect(Collectors.joining(", ", "[", "]"));
    }

    static String parts(List<Part> parts) {
        return parts.stream().map(TermPrinter::part).collect(Collectors.joining(", ", "(", ")"));
    }

    private static String part(Part part) {
        return name(part.name()) + part.extent().map(n -> ": " + expression(n)).orElse("");
    }

    static String expression(Expr expression) {
        return switch (expression) {
            case Expr.Literal(long value, _) -> Long.toString(value);
            case Expr.Reference(Name name) -> name(name);
            case Expr.Binary(Expr left, Expr.Operator operator, Expr right, _) ->
                    operand(left, operator.precedence())
                            + " "
                            + operator.sign()
                            + " "
                            + operand(right, operator.precedence() + 1);
        };
    }

    private static String operand(Expr expression, int least) {
        boolean looser =
                expression instanceof Expr.Binary binary && binary.operator().precedence() < least;
        return looser ? "(" + expression(expression) + ")" : expression(expression);
    }

    static String pattern(NamePattern pattern) {
        return switch (pattern) {
            case NamePattern.Glob(List<Piece> pieces, _) ->
                    pieces.stream()
                            .map(TermPrinter::piece)
                            .collect(Collectors.joining("", "\"", "\""));
            case NamePattern.Regex(String expression, _) -> "re\"" + regex(expression) + "\"";
        };
    }

    /// A name in quotes.
    static String quoted(String name) {
        return pattern(NamePattern.Glob.exact(name));
    }

    private static String piece(Piece piece) {
        return switch (piece) {
            case Piece.Text(String text) ->
                    text.codePoints()
                            .mapToObj(TermPrinter::character)
                            .collect(Collectors.joining());
            case Piece.Any(boolean deep) -> deep ? "**" : "*";
            case Piece.Capture(String name, boolean deep) -> "{" + name + (deep ? "**}" : "}");
            case Piece.Counted(String name, long more) ->
                    "{%s %s %d}".formatted(name, more < 0 ? "-" : "+", Math.abs(more));
        };
    }

    private static String character(int c) {
        return switch (c) {
            case '\\', '"', '*', '{', '}' -> "\\" + (char) c;
            case '\n' -> "\\n";
            case '\r' -> "\\r";
            case '\t' -> "\\t";
            default ->
                    isVisible(c)
                            ? Character.toString(c)
                            : "\\u{" + Integer.toHexString(c).toUpperCase(Locale.ROOT) + "}";
        };
    }

    private static boolean isVisible(int c) {
        return switch (Character.getType(c)) {
            case Character.CONTROL,
                    Character.FORMAT,
                    Character.SURROGATE,
                    Character.UNASSIGNED,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR ->
                    false;
            default -> true;
        };
    }

    /// A quote gets a backslash; line ends, which a regular expression may hold, become escapes.
    private static String regex(String expression) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < expression.length(); i++) {
            char c = expression.charAt(i);
            boolean escaped = c == '\\' && i + 1 < expression.length();
            char meant = escaped ? expression.charAt(++i) : c;
            switch (meant) {
                case '"' -> out.append("\\\"");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                default -> out.append(escaped ? "\\" : "").append(meant);
            }
        }
        return out.toString();
    }
}
