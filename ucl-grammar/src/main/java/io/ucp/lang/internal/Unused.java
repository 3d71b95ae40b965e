package io.ucp.lang.internal;

import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.GroupRule;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.ReadNames;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.States;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.NearHints;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/// What a spec defines and says nothing with: constants that no expression reads, products of axes
/// that no clause speaks of, blocks of states that no rule has. Often a slip in a name elsewhere.
public final class Unused {
    private final Spec spec;
    private final Set<String> read;
    private final NearHints near = new NearHints();
    private final List<Diagnostic> found = new ArrayList<>();

    private Unused(Spec spec) {
        this.spec = spec;
        this.read = ReadNames.of(spec);
    }

    /// Warnings in the order of the text. A spec without a rule is there to be imported, and what
    /// it defines is for the importing one; of imported definitions nothing is said either.
    public static List<Diagnostic> in(Spec spec) {
        if (spec.params().isEmpty() && spec.renames().isEmpty()) {
            return List.of();
        }
        Unused unused = new Unused(spec);
        unused.constants();
        unused.products();
        unused.states();
        return unused.found.stream()
                .filter(one -> one.span().source().equals(spec.span().source()))
                .sorted(Comparator.comparingInt(one -> one.span().start()))
                .toList();
    }

    private void constants() {
        Set<String> open = new HashSet<>(read);
        spec.lets().forEach(let -> open.remove(let.name().text()));
        spec.lets().stream()
                .map(let -> let.name())
                .filter(name -> !read.contains(name.text()))
                .forEach(
                        name ->
                                warn(
                                        name,
                                        "nothing reads the constant '%s'; expected an expression that does"
                                                .formatted(name),
                                        near.hint(name.text(), open)));
    }

    private void products() {
        Set<String> spoken = new HashSet<>(read);
        layouts()
                .flatMap(clause -> LayoutChecks.axis(clause).stream())
                .forEach(axis -> spoken.add(axis.text()));
        spec.groups().stream()
                .flatMap(group -> group.flatten().stream())
                .forEach(flatten -> spoken.add(flatten.axis().text()));
        spec.products().stream()
                .flatMap(product -> product.factors().stream())
                .forEach(factor -> spoken.add(factor.text()));
        spec.products().stream()
                .map(product -> product.name())
                .filter(name -> !spoken.contains(name.text()))
                .forEach(
                        name ->
                                warn(
                                        name,
                                        "nothing speaks of the axis '%s'; expected a clause over it"
                                                .formatted(name),
                                        Optional.empty()));
    }

    private Stream<Clause> layouts() {
        return Stream.concat(
                spec.params().stream().flatMap(rule -> rule.layout().stream()),
                spec.states().stream()
                        .flatMap(block -> block.entries().stream())
                        .flatMap(entry -> entry.node().layout().stream()));
    }

    /// The only block is that of every rule.
    private void states() {
        if (spec.states().size() < 2) {
            return;
        }
        Set<String> had = new HashSet<>();
        for (ParamRule rule : spec.params()) {
            for (Clause clause : rule.layout()) {
                if (clause instanceof Clause.WithStates(Name name, _)) {
                    had.add(name.text());
                }
            }
        }
        for (GroupRule group : spec.groups()) {
            group.states().ifPresent(name -> had.add(name.text()));
        }
        spec.states().stream()
                .map(States::name)
                .filter(name -> !had.contains(name.text()))
                .forEach(
                        name ->
                                warn(
                                        name,
                                        "no rule has the states '%s'; expected 'with states %s' in one"
                                                .formatted(name, name),
                                        Optional.empty()));
    }

    private void warn(Name name, String message, Optional<String> hint) {
        Diagnostic warning = Diagnostic.warning(name.span(), message);
        found.add(hint.map(warning::withHint).orElse(warning));
    }
}
