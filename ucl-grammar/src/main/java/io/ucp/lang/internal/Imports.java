package io.ucp.lang.internal;

import io.ucp.lang.ast.AxisProduct;
import io.ucp.lang.ast.CastRule;
import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.DropRule;
import io.ucp.lang.ast.FrozenRule;
import io.ucp.lang.ast.GroupRule;
import io.ucp.lang.ast.Import;
import io.ucp.lang.ast.Let;
import io.ucp.lang.ast.Matching;
import io.ucp.lang.ast.Mesh;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.RenameRule;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.SpecName;
import io.ucp.lang.ast.Statement;
import io.ucp.lang.ast.States;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.SourceText;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Predicate;
import java.util.stream.Stream;

/// Puts the statements of imported specs in the place of the imports. A statement of the importing
/// spec replaces the imported one that says the same: of the same name, or for the same pattern. A
/// text that several imports reach is taken once.
final class Imports {
    private final BiFunction<String, SourceText, Optional<SourceText>> sources;
    private final BiFunction<SourceText, Problems, Spec> reader;
    private final Problems problems;
    private final Set<String> path = new LinkedHashSet<>();
    private final Set<String> taken = new HashSet<>();

    Imports(
            BiFunction<String, SourceText, Optional<SourceText>> sources,
            BiFunction<SourceText, Problems, Spec> reader,
            Problems problems) {
        this.sources = sources;
        this.reader = reader;
        this.problems = problems;
    }

    /// One spec without imports.
    Spec resolve(SourceText source) {
        path.add(source.name());
        taken.add(source.name());
        Spec spec = reader.apply(source, problems);
        Set<String> own = new HashSet<>();
        spec.statements().forEach(statement -> own.addAll(keys(statement.node())));
        List<Commented<Statement>> all = new ArrayList<>();
        for (Commented<Statement> statement : spec.statements()) {
            if (statement.node() instanceof Import imported) {
                all.addAll(imported(imported, source, own));
            } else {
                all.add(statement);
            }
        }
        path.remove(source.name());
        return new Spec(spec.version(), all, spec.comments(), spec.span());
    }

    private List<Commented<Statement>> imported(
            Import imported, SourceText importer, Set<String> own) {
        Optional<SourceText> found = sources.apply(imported.target(), importer);
        if (found.isEmpty()) {
            String message =
                    "nothing to import under '%s'; expected a file or the name of a bundled spec"
                            .formatted(imported.target());
            problems.add(Diagnostic.error(imported.span(), message));
            return List.of();
        }
        String name = found.get().name();
        if (path.contains(name)) {
            String message =
                    "an import of itself: %s -> %s".formatted(String.join(" -> ", path), name);
            problems.add(Diagnostic.error(imported.span(), message));
            return List.of();
        }
        if (taken.contains(name)) {
            return List.of();
        }
        return resolve(found.get()).statements().stream()
                .flatMap(statement -> without(statement, own))
                .toList();
    }

    /// The names under which a statement is replaced.
    private static List<String> keys(Statement statement) {
        return switch (statement) {
            case Import _, SpecName _ -> List.of();
            case Mesh _ -> List.of("mesh");
            case AxisProduct product -> List.of("axis " + product.name());
            case Let let -> List.of("let " + let.name());
            case States states -> List.of("states " + states.name());
            case GroupRule group -> List.of("group " + group.name());
            case CastRule cast -> List.of("cast " + cast.state());
            case Matching matching -> List.of("matching " + matching.mode());
            case ParamRule rule -> rule.patterns().stream().map(p -> key(rule, p)).toList();
            case RenameRule rule -> keys("rename ", rule.left());
            case DropRule rule -> keys("drop ", rule.patterns());
            case FrozenRule rule -> keys("frozen ", rule.patterns());
        };
    }

    private static String key(ParamRule rule, NamePattern pattern) {
        return (rule.fallback() ? "default param " : "param ") + TermPrinter.pattern(pattern);
    }

    private static List<String> keys(String kind, List<? extends NamePattern> patterns) {
        return patterns.stream().map(pattern -> key(kind, pattern)).toList();
    }

    private static String key(String kind, NamePattern pattern) {
        return kind + TermPrinter.pattern(pattern);
    }

    /// An imported statement without what the importing spec says itself; nothing when that is all.
    private static Stream<Commented<Statement>> without(
            Commented<Statement> statement, Set<String> own) {
        Statement node = statement.node();
        if (node instanceof SpecName) {
            return Stream.empty();
        }
        List<String> keys = keys(node);
        if (keys.stream().noneMatch(own::contains)) {
            return Stream.of(statement);
        }
        return left(node, own).map(rest -> new Commented<>(rest, statement.comments())).stream();
    }

    /// A statement of several patterns without those that the importing spec has a rule for.
    private static Optional<Statement> left(Statement node, Set<String> own) {
        return switch (node) {
            case ParamRule r ->
                    left(r.patterns(), p -> own.contains(key(r, p)))
                            .map(
                                    left ->
                                            new ParamRule(
                                                    r.optional(),
                                                    r.fallback(),
                                                    left,
                                                    r.shape(),
                                                    r.clauses(),
                                                    r.span()));
            case DropRule r ->
                    left(r.patterns(), p -> own.contains(key("drop ", p)))
                            .map(left -> new DropRule(r.optional(), left, r.span()));
            case FrozenRule r ->
                    left(r.patterns(), p -> own.contains(key("frozen ", p)))
                            .map(left -> new FrozenRule(r.optional(), left, r.span()));
            case Import _,
                    SpecName _,
                    Mesh _,
                    AxisProduct _,
                    Let _,
                    States _,
                    GroupRule _,
                    CastRule _,
                    Matching _,
                    RenameRule _ ->
                    Optional.empty();
        };
    }

    private static Optional<List<NamePattern>> left(
            List<NamePattern> patterns, Predicate<NamePattern> replaced) {
        List<NamePattern> left = patterns.stream().filter(replaced.negate()).toList();
        return left.isEmpty() ? Optional.empty() : Optional.of(left);
    }
}
