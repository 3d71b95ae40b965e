package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

import java.util.List;
import java.util.Optional;

/// What an author wrote: the statements of one text in their order.
///
/// @param comments of the version line (leading, trailing) and of the end of the text (closing)
public record Spec(
        int version, List<Commented<Statement>> statements, Comments comments, Span span) {
    /// The version of the language that this code reads and writes.
    public static final int VERSION = 1;

    public Spec {
        statements = List.copyOf(statements);
    }

    /// A spec that a program makes.
    public static Spec of(List<Commented<Statement>> statements) {
        return new Spec(VERSION, statements, Comments.NONE, Span.NONE);
    }

    /// The statements of one kind, in order.
    public <S extends Statement> List<S> all(Class<S> kind) {
        return statements.stream()
                .map(Commented::node)
                .filter(kind::isInstance)
                .map(kind::cast)
                .toList();
    }

    public Optional<String> name() {
        return all(SpecName.class).stream().map(named -> named.name().text()).findFirst();
    }

    public Optional<Mesh> mesh() {
        return all(Mesh.class).stream().findFirst();
    }

    public List<Import> imports() {
        return all(Import.class);
    }

    public List<AxisProduct> products() {
        return all(AxisProduct.class);
    }

    public List<Let> lets() {
        return all(Let.class);
    }

    public List<States> states() {
        return all(States.class);
    }

    public List<ParamRule> params() {
        return all(ParamRule.class);
    }

    public List<GroupRule> groups() {
        return all(GroupRule.class);
    }

    public List<RenameRule> renames() {
        return all(RenameRule.class);
    }

    public List<DropRule> drops() {
        return all(DropRule.class);
    }

    public List<FrozenRule> frozen() {
        return all(FrozenRule.class);
    }

    public List<CastRule> casts() {
        return all(CastRule.class);
    }

    /// Whether the first written rule that matches a parameter holds.
    public boolean firstMatchWins() {
        return all(Matching.class).stream()
                .anyMatch(m -> m.mode() == Matching.Mode.FIRST_MATCH_WINS);
    }

    /// Whether rules may match nothing.
    public boolean everyRuleOptional() {
        return all(Matching.class).stream()
                .anyMatch(m -> m.mode() == Matching.Mode.EVERY_RULE_OPTIONAL);
    }
}
