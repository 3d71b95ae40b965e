package io.ucp.lang.internal;

import io.ucp.lang.ast.Dimension;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.Part;
import io.ucp.lang.ast.Shape;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.Span;

import org.antlr.v4.runtime.ParserRuleContext;
import org.antlr.v4.runtime.Token;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/// Builds the terms that statements and clauses are made of: names, numbers, expressions, patterns.
final class TermBuilder {
    /// Bounds how deep a tree of operations gets, so that no one who walks it runs out of stack.
    private static final int MAX_EXPRESSION_TOKENS = 1_000;

    /// Bound how deep `java.util.regex` has to go to compile an expression.
    private static final int MAX_REGEX = 10_000;

    private static final int MAX_REGEX_BRACKETS = 1_000;

    private static final int MAX_DIMENSION = 63;

    private static final Map<String, String> DTYPE_ALIASES =
            Map.of(
                    "float64", "fp64",
                    "double", "fp64",
                    "float32", "fp32",
                    "float", "fp32",
                    "float16", "fp16",
                    "half", "fp16",
                    "bfloat16", "bf16",
                    "float8_e4m3fn", "fp8_e4m3",
                    "float8_e5m2", "fp8_e5m2");

    private final Tokens tokens;
    private final Problems problems;

    TermBuilder(Tokens tokens, Problems problems) {
        this.tokens = tokens;
        this.problems = problems;
    }

    Span span(ParserRuleContext context) {
        return tokens.span(context);
    }

    void problem(Diagnostic diagnostic) {
        problems.add(diagnostic);
    }

    /// The name that a context of one token is.
    Name name(ParserRuleContext context) {
        return name(context.start);
    }

    private Name name(Token token) {
        return new Name(token.getText().replace("`", ""), tokens.span(token));
    }

    /// A dtype by its short name; the long ones of torch and numpy are accepted.
    Name dtype(UclParser.DtypeContext context) {
        Name written = name(context);
        return new Name(DTYPE_ALIASES.getOrDefault(written.text(), written.text()), written.span());
    }

    List<Name> names(List<? extends ParserRuleContext> contexts) {
        return contexts.stream().map(this::name).toList();
    }

    Dimension dimension(UclParser.DimensionContext context) {
        return new Dimension(index(context.start, "dimension", MAX_DIMENSION), span(context));
    }

    List<Dimension> dimensions(List<UclParser.DimensionContext> contexts) {
        return contexts.stream().map(this::dimension).toList();
    }

    /// A small number; 0 after a complaint.
    int index(Token token, String what, int most) {
        String text = token.getText();
        if (text.length() > 9 || Integer.parseInt(text) > most) {
            String shown = Words.shortened(text);
            String message = "%s %s; expected at most %d".formatted(what, shown, most);
            problems.add(Diagnostic.error(tokens.span(token), message));
            return 0;
        }
        return Integer.parseInt(text);
    }

    Expr degree(UclParser.DegreeContext context) {
        return context.INT() == null
                ? expression(context.expression())
                : literal(context.INT().getSymbol());
    }

    Shape shape(UclParser.ShapeContext context) {
        return new Shape(expressions(context.expression()), span(context));
    }

    List<Expr> list(UclParser.ListContext context) {
        return expressions(context.expression());
    }

    List<Part> parts(UclParser.PartsContext context) {
        List<Part> parts = context.part().stream().map(this::part).toList();
        boolean equal = parts.getFirst().extent().isEmpty();
        if (parts.stream().anyMatch(part -> part.extent().isEmpty() != equal)) {
            String message = "extents of some parts only; expected one for each part, or none";
            problems.add(Diagnostic.error(span(context), message));
        }
        return parts;
    }

    private Part part(UclParser.PartContext context) {
        Optional<Expr> extent = Optional.ofNullable(context.expression()).map(this::expression);
        return new Part(name(context.partName()), extent, span(context));
    }

    List<Expr> expressions(List<UclParser.ExpressionContext> contexts) {
        return contexts.stream().map(this::expression).toList();
    }

    Expr expression(UclParser.ExpressionContext context) {
        int size = context.stop.getTokenIndex() - context.start.getTokenIndex() + 1;
        if (size > MAX_EXPRESSION_TOKENS) {
            String message =
                    "an expression of %,d words; expected at most %,d"
                            .formatted(size, MAX_EXPRESSION_TOKENS);
            problems.add(Diagnostic.error(span(context), message, "name parts of it with let"));
            return new Expr.Literal(0, span(context));
        }
        return sum(context);
    }

    private Expr sum(UclParser.ExpressionContext context) {
        Expr left = product(context.product(0));
        for (int i = 0; i < context.sumOperator().size(); i++) {
            Expr.Operator operator =
                    context.sumOperator(i).start.getType() == UclLexer.PLUS
                            ? Expr.Operator.ADD
                            : Expr.Operator.SUBTRACT;
            Expr right = product(context.product(i + 1));
            Span span = tokens.span(context.start, context.product(i + 1).stop);
            left = new Expr.Binary(left, operator, right, span);
        }
        return left;
    }

    private Expr product(UclParser.ProductContext context) {
        Expr left = operand(context.operand(0));
        for (int i = 0; i < context.productOperator().size(); i++) {
            Expr.Operator operator =
                    context.productOperator(i).start.getType() == UclLexer.STAR
                            ? Expr.Operator.MULTIPLY
                            : Expr.Operator.DIVIDE;
            Expr right = operand(context.operand(i + 1));
            Span span = tokens.span(context.start, context.operand(i + 1).stop);
            left = new Expr.Binary(left, operator, right, span);
        }
        return left;
    }

    private Expr operand(UclParser.OperandContext context) {
        return switch (context.start.getType()) {
            case UclLexer.INT -> literal(context.start);
            case UclLexer.NAME -> new Expr.Reference(name(context.start));
            default -> sum(context.expression());
        };
    }

    private Expr literal(Token token) {
        try {
            return new Expr.Literal(Long.parseLong(token.getText()), tokens.span(token));
        } catch (NumberFormatException _) {
            String message =
                    "number %s; expected at most %d"
                            .formatted(Words.shortened(token.getText()), Long.MAX_VALUE);
            problems.add(Diagnostic.error(tokens.span(token), message));
            return new Expr.Literal(0, tokens.span(token));
        }
    }

    List<NamePattern> patterns(UclParser.PatternsContext context) {
        return context.pattern().stream().map(this::pattern).toList();
    }

    NamePattern pattern(UclParser.PatternContext context) {
        return context.start.getType() == UclLexer.REGEX
                ? regex(span(context))
                : PatternReader.read(span(context), problems);
    }

    /// A quoted name that captures are put into: no wildcard, since nothing could be put there.
    NamePattern.Glob target(UclParser.TargetContext context) {
        return named(PatternReader.read(span(context), problems), context);
    }

    private NamePattern.Glob named(NamePattern.Glob glob, UclParser.TargetContext context) {
        if (glob.pieces().stream().anyMatch(NamePattern.Piece.Any.class::isInstance)) {
            problems.add(
                    Diagnostic.error(
                            span(context),
                            "a wildcard where one name is meant; expected a name with captures at"
                                    + " most",
                            "{name} or {name**} captures what * or ** matches"));
        }
        return glob;
    }

    List<NamePattern.Glob> targets(UclParser.TargetsContext context) {
        return context.target().stream()
                .map(t -> named(PatternReader.readCounted(span(t), problems), t))
                .toList();
    }

    private NamePattern regex(Span span) {
        String text = span.text();
        String expression = unquoted(text.substring(3, text.length() - 1));
        if (isTooLarge(expression)) {
            String message =
                    "a regular expression of %,d characters; expected at most %,d and %,d brackets"
                            .formatted(expression.length(), MAX_REGEX, MAX_REGEX_BRACKETS);
            problems.add(Diagnostic.error(span, message));
            return new NamePattern.Regex("", span);
        }
        try {
            Pattern.compile(expression);
        } catch (PatternSyntaxException e) {
            Diagnostic invalid =
                    Diagnostic.error(
                            span,
                            "an invalid regular expression: " + firstLine(e.getDescription()));
            problems.add(
                    expression.contains("(?P<")
                            ? invalid.withHint("a named group is written (?<name>..)")
                            : invalid);
        }
        return new NamePattern.Regex(expression, span);
    }

    private static boolean isTooLarge(String regex) {
        return regex.length() > MAX_REGEX
                || regex.chars().filter(c -> c == '(' || c == '[').count() > MAX_REGEX_BRACKETS;
    }

    private static String firstLine(String text) {
        return text.lines().findFirst().orElse("");
    }

    /// `\"` is a quote; every other backslash is the regular expression's own.
    private static String unquoted(String raw) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < raw.length(); i++) {
            char c = raw.charAt(i);
            if (c == '\\') {
                char next = raw.charAt(++i);
                out.append(next == '"' ? "\"" : "\\" + next);
            } else {
                out.append(c);
            }
        }
        return out.toString();
    }
}
