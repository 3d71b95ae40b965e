package io.ucp.lang.internal;

import io.ucp.lang.ast.AxisProduct;
import io.ucp.lang.ast.CastRule;
import io.ucp.lang.ast.Clause;
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
import io.ucp.lang.ast.Shape;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.SpecName;
import io.ucp.lang.ast.Statement;
import io.ucp.lang.ast.States;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;

import org.antlr.v4.runtime.ParserRuleContext;
import org.antlr.v4.runtime.Token;
import org.antlr.v4.runtime.tree.TerminalNode;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Builds the tree from what the parser understood; what it gave up is left out.
final class SpecBuilder {
    private final Tokens tokens;
    private final Problems problems;
    private final TermBuilder terms;
    private final CommentReader comments;
    private final ClauseBuilder clauses;

    SpecBuilder(Tokens tokens, Problems problems) {
        this.tokens = tokens;
        this.problems = problems;
        this.terms = new TermBuilder(tokens, problems);
        this.comments = new CommentReader(tokens);
        this.clauses = new ClauseBuilder(terms, comments);
    }

    Spec spec(UclParser.FileContext file) {
        int version = version(file.version());
        Comments first =
                file.version().exception == null ? comments.of(file.version()) : Comments.NONE;
        List<Commented<Statement>> statements = new ArrayList<>();
        for (UclParser.StatementContext context : file.statement()) {
            if (context.exception == null) {
                statements.add(comments.with(statement(context), context));
            }
        }
        Token end = tokens.all().getLast();
        Comments all = new Comments(first.leading(), first.trailing(), comments.atEnd(end));
        int length = tokens.source().text().length();
        return new Spec(version, statements, all, new Span(tokens.source(), 0, length));
    }

    /// The version; of a text in another one nothing else can be said.
    private int version(UclParser.VersionContext context) {
        if (context.exception != null) {
            return Spec.VERSION;
        }
        String text = context.versionNumber().getText();
        if (!text.equals(Integer.toString(Spec.VERSION))) {
            throw new SpecException(
                    Diagnostic.error(
                            terms.span(context.versionNumber()),
                            "version %s of the language; expected %d"
                                    .formatted(Words.shortened(text), Spec.VERSION)));
        }
        return Spec.VERSION;
    }

    private Statement statement(UclParser.StatementContext context) {
        ParserRuleContext child = (ParserRuleContext) context.getChild(0);
        Span span = terms.span(context);
        return switch (child) {
            case UclParser.ImportingContext importing -> importing(importing, span);
            case UclParser.SpecNameContext named -> new SpecName(terms.name(named.name()), span);
            case UclParser.MeshContext mesh ->
                    new Mesh(mesh.meshAxis().stream().map(this::axis).toList(), span);
            case UclParser.AxisProductContext product ->
                    new AxisProduct(
                            terms.name(product.axisName(0)),
                            terms.names(product.axisName().subList(1, product.axisName().size())),
                            span);
            case UclParser.LetContext let ->
                    new Let(terms.name(let.name()), terms.expression(let.expression()), span);
            case UclParser.StatesContext states -> states(states, span);
            case UclParser.CastContext cast ->
                    new CastRule(terms.name(cast.stateName()), terms.dtype(cast.dtype()), span);
            case UclParser.MatchingContext matching ->
                    new Matching(
                            matching.FIRST() != null
                                    ? Matching.Mode.FIRST_MATCH_WINS
                                    : Matching.Mode.EVERY_RULE_OPTIONAL,
                            span);
            case UclParser.MatchRuleContext rule -> rule(rule, span);
            default -> throw new AssertionError("statement " + child.getClass().getSimpleName());
        };
    }

    private Import importing(UclParser.ImportingContext context, Span span) {
        if (context.STRING() == null) {
            return new Import(terms.name(context.name()).text(), span);
        }
        Span quoted = tokens.span(context.STRING().getSymbol());
        NamePattern.Glob file = PatternReader.read(quoted, problems);
        if (!file.isExact()) {
            problems.add(
                    Diagnostic.error(quoted, "a pattern to import; expected one file or name"));
        }
        return new Import(file.isExact() ? file.withCaptures(Map.of()) : "", span);
    }

    private Mesh.Axis axis(UclParser.MeshAxisContext context) {
        List<Mesh.Axis> factors =
                context.meshFactor().stream()
                        .map(f -> axis(f.axisName(), f.degree(), List.of(), terms.span(f)))
                        .toList();
        return axis(context.axisName(), context.degree(), factors, terms.span(context));
    }

    private Mesh.Axis axis(
            UclParser.AxisNameContext name,
            UclParser.@Nullable DegreeContext degree,
            List<Mesh.Axis> factors,
            Span span) {
        Optional<Expr> count = Optional.ofNullable(degree).map(terms::degree);
        return new Mesh.Axis(terms.name(name), count, factors, span);
    }

    private States states(UclParser.StatesContext context, Span span) {
        List<Commented<States.Entry>> entries = new ArrayList<>();
        for (UclParser.StateEntryContext entry : context.stateEntry()) {
            if (entry.exception == null) {
                entries.add(
                        comments.with(
                                new States.Entry(
                                        terms.names(entry.stateName()),
                                        clauses.stateClauses(entry.stateClause()),
                                        terms.span(entry)),
                                entry));
            }
        }
        return new States(terms.name(context.name()), entries, span);
    }

    private Statement rule(UclParser.MatchRuleContext context, Span span) {
        boolean optional = prefix(context.OPTIONAL());
        boolean fallback = prefix(context.DEFAULT());
        if (fallback && context.param() == null) {
            Span word = tokens.span(context.DEFAULT(0).getSymbol());
            problems.add(Diagnostic.error(word, "'default' here; expected it before 'param' only"));
        }
        if (context.param() != null) {
            return param(context.param(), optional, fallback, span);
        }
        if (context.group() != null) {
            return group(context.group(), optional, span);
        }
        if (context.rename() != null) {
            UclParser.RenameContext rename = context.rename();
            return new RenameRule(
                    optional,
                    terms.targets(rename.targets(0)),
                    terms.targets(rename.targets(1)),
                    clauses.steps(rename.renameStep()),
                    span);
        }
        if (context.drop() != null) {
            return new DropRule(optional, terms.patterns(context.drop().patterns()), span);
        }
        return new FrozenRule(optional, terms.patterns(context.frozenRule().patterns()), span);
    }

    private boolean prefix(List<TerminalNode> words) {
        for (TerminalNode again : words.subList(Math.min(1, words.size()), words.size())) {
            Span span = tokens.span(again.getSymbol());
            problems.add(Diagnostic.error(span, "'" + again.getText() + "' twice before one rule"));
        }
        return !words.isEmpty();
    }

    private ParamRule param(
            UclParser.ParamContext context, boolean optional, boolean fallback, Span span) {
        Optional<Shape> shape =
                Optional.ofNullable(context.declaredShape())
                        .filter(declared -> declared.exception == null)
                        .map(declared -> terms.shape(declared.shape()));
        return new ParamRule(
                optional,
                fallback,
                terms.patterns(context.patterns()),
                shape,
                clauses.clauses(context.clause()),
                span);
    }

    private GroupRule group(UclParser.GroupContext context, boolean optional, Span span) {
        List<Commented<NamePattern>> members = new ArrayList<>();
        for (UclParser.GroupMemberContext member : context.groupMember()) {
            members.add(comments.with(terms.pattern(member.pattern()), member));
        }
        Optional<GroupRule.Order> order = Optional.empty();
        Optional<Name> states = Optional.empty();
        Optional<Clause.Flatten> flatten = Optional.empty();
        for (UclParser.GroupTailContext tail : context.groupTail()) {
            if (tail.ORDER() != null) {
                once(order, tail, "order");
                order = Optional.of(order(tail));
            } else if (tail.withStates() != null) {
                once(states, tail, "with states");
                states = Optional.of(terms.name(tail.withStates().name()));
            } else {
                once(flatten, tail, "flatten");
                flatten = Optional.of(clauses.flatten(tail.flatten()));
            }
        }
        Name name = terms.name(context.name());
        return new GroupRule(optional, name, members, order, states, flatten, span);
    }

    private static GroupRule.Order order(UclParser.GroupTailContext tail) {
        return tail.LISTED() != null ? GroupRule.Order.LISTED : GroupRule.Order.CHECKPOINT;
    }

    private void once(Optional<?> before, ParserRuleContext context, String words) {
        if (before.isPresent()) {
            String message = "'%s' twice in one group".formatted(words);
            problems.add(Diagnostic.error(terms.span(context), message));
        }
    }
}
