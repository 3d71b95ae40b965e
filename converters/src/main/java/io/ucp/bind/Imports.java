package io.ucp.bind;

import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Import;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.Statement;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.NearestNames;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/// Specs with the statements of those that they import in place: bundled ones by name, files beside the
/// one that imports them. A statement takes the place of an imported one of the same name.
public final class Imports {
    private Imports() {}

    /// @throws SpecException where an imported spec is not there, is wrong, or imports itself
    public static Spec expanded(Spec spec) {
        return spec.imports().isEmpty() ? spec : expanded(spec, new LinkedHashSet<>());
    }

    private static Spec expanded(Spec spec, Set<String> open) {
        Set<Object> own = new HashSet<>();
        spec.statements().forEach(s -> own.addAll(names(s.node())));
        List<Commented<Statement>> statements = new ArrayList<>();
        for (Commented<Statement> s : spec.statements()) {
            if (!(s.node() instanceof Import imported)) {
                statements.add(s);
                continue;
            }
            if (!open.add(imported.target())) {
                throw new SpecException(
                        Diagnostic.error(
                                imported.span(),
                                "'%s' imports itself; expected another spec"
                                        .formatted(imported.target())));
            }
            for (Commented<Statement> theirs : expanded(read(imported), open).statements()) {
                if (names(theirs.node()).stream().noneMatch(own::contains)) {
                    statements.add(theirs);
                }
            }
            open.remove(imported.target());
        }
        return new Spec(spec.version(), statements, spec.comments(), spec.span());
    }

    private static Spec read(Import imported) {
        Optional<Spec> bundled = SpecLibrary.find(imported.target());
        if (bundled.isPresent()) {
            return bundled.get();
        }
        Path file = Path.of(imported.span().source().name()).resolveSibling(imported.target());
        try {
            return Ucl.parse(SourceText.of(file.toString(), Files.readString(file)));
        } catch (IOException e) {
            throw new SpecException(
                    new Diagnostic(
                            io.ucp.lang.diagnostic.Severity.ERROR,
                            imported.span(),
                            "'%s' cannot be read: neither a bundled spec nor a file (%s)"
                                    .formatted(imported.target(), e.getClass().getSimpleName()),
                            NearestNames.hint(imported.target(), SpecLibrary.names())));
        }
    }

    /// What a statement is the only one of: `spec` and `mesh` by kind, others by name or pattern.
    private static Set<Object> names(Statement statement) {
        record Named(Class<?> kind, String name) {}
        Set<Object> names = new HashSet<>();
        switch (statement) {
            case io.ucp.lang.ast.SpecName _ -> names.add(new Named(statement.getClass(), ""));
            case io.ucp.lang.ast.Mesh _ -> names.add(new Named(statement.getClass(), ""));
            case io.ucp.lang.ast.Let l -> names.add(new Named(Statement.class, l.name().text()));
            case io.ucp.lang.ast.AxisProduct a ->
                    names.add(new Named(statement.getClass(), a.name().text()));
            case io.ucp.lang.ast.States s ->
                    names.add(new Named(statement.getClass(), s.name().text()));
            case io.ucp.lang.ast.GroupRule g ->
                    names.add(new Named(statement.getClass(), g.name().text()));
            case io.ucp.lang.ast.CastRule c ->
                    names.add(new Named(statement.getClass(), c.state().text()));
            case io.ucp.lang.ast.ParamRule p ->
                    p.patterns()
                            .forEach(n -> names.add(new Named(Statement.class, PatternText.of(n))));
            case io.ucp.lang.ast.DropRule d ->
                    d.patterns()
                            .forEach(n -> names.add(new Named(Statement.class, PatternText.of(n))));
            case io.ucp.lang.ast.RenameRule r ->
                    r.left()
                            .forEach(
                                    n ->
                                            names.add(
                                                    new Named(
                                                            statement.getClass(),
                                                            PatternText.of(n))));
            case io.ucp.lang.ast.FrozenRule _, io.ucp.lang.ast.Matching _, Import _ -> {
                // Several may stand beside each other.
            }
        }
        return names;
    }
}
