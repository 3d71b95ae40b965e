package io.ucp.lang.internal;

import io.ucp.lang.ast.CastRule;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.DropRule;
import io.ucp.lang.ast.FrozenRule;
import io.ucp.lang.ast.GroupRule;
import io.ucp.lang.ast.Matching;
import io.ucp.lang.ast.Mesh;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.RenameRule;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.ast.SpecName;
import io.ucp.lang.ast.States;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.Span;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Stream;

/// What can be wrong with a well-formed spec and needs no checkpoint to be seen. Where the parser
/// gave something up, nothing is said that the missing piece could put right.
final class Checks {
    private static final Set<String> DTYPES =
            new TreeSet<>(
                    Set.of(
                            "fp64",
                            "fp32",
                            "fp16",
                            "bf16",
                            "fp8_e4m3",
                            "fp8_e5m2",
                            "int64",
                            "int32",
                            "int16",
                            "int8",
                            "uint8",
                            "bool"));

    private final Spec spec;
    private final Problems problems;
    private final Predicate<Span> broken;
    private final boolean whole;
    private final boolean wholeRules;
    private final Axes axes;
    private final LayoutChecks layouts;

    private Checks(Spec spec, Problems problems) {
        this.spec = spec;
        this.problems = problems;
        this.broken = problems.soFar();
        this.wholeRules = !problems.any();
        this.whole = wholeRules && spec.imports().isEmpty();
        boolean hasMesh = spec.mesh().isPresent() && !broken.test(spec.mesh().get().span());
        this.axes = Axes.of(spec, problems, whole || (hasMesh && spec.imports().isEmpty()));
        this.layouts = new LayoutChecks(axes, problems);
    }

    static void run(Spec spec, Problems problems) {
        new Checks(spec, problems).all();
    }

    private void all() {
        once(spec.all(SpecName.class), _ -> "spec", SpecName::span, "'spec' twice");
        once(spec.all(Mesh.class), _ -> "mesh", Mesh::span, "a second mesh");
        once(spec.all(Matching.class), m -> Printer.mode(m.mode()), Matching::span, "'%s' twice");
        spec.mesh().ifPresent(this::mesh);
        lets();
        states();
        spec.params().forEach(this::param);
        patterns();
        spec.groups().forEach(this::group);
        once(spec.groups(), g -> g.name().text(), g -> g.name().span(), "a second group '%s'");
        RenameChecks renames = new RenameChecks(problems);
        for (RenameRule rule : spec.renames()) {
            if (wholeRules || !broken.test(rule.span())) {
                renames.rule(rule);
            }
        }
        spec.casts().forEach(this::cast);
        once(spec.casts(), c -> c.state().text(), CastRule::span, "a second cast of '%s'");
    }

    /// A complaint about every item whose key came before.
    private <T> void once(
            List<T> items, Function<T, ?> key, Function<T, Span> span, String complaint) {
        Map<Object, Span> first = new HashMap<>();
        for (T item : items) {
            Object name = key.apply(item);
            Span before = first.putIfAbsent(name, span.apply(item));
            if (before != null) {
                String message = String.format(complaint, name) + "; expected one";
                problems.add(Diagnostic.error(span.apply(item), message, firstAt(before)));
            }
        }
    }

    private static String firstAt(Span first) {
        return "the first is at " + first;
    }

    private void mesh(Mesh mesh) {
        for (Mesh.Axis axis : mesh.axes()) {
            axis.degree().ifPresent(degree -> layouts.positive(degree, "a degree"));
            for (Mesh.Axis factor : axis.factors()) {
                factor.degree().ifPresent(degree -> layouts.positive(degree, "a degree"));
            }
        }
    }

    private void lets() {
        once(spec.lets(), l -> l.name().text(), l -> l.name().span(), "a second constant '%s'");
        spec.lets().forEach(let -> layouts.expression(let.value()));
        new LetCycles(spec.lets(), problems).check();
    }

    private void states() {
        once(spec.states(), s -> s.name().text(), s -> s.name().span(), "a second block '%s'");
        for (States block : spec.states()) {
            List<Name> names =
                    block.entries().stream()
                            .flatMap(entry -> entry.node().states().stream())
                            .toList();
            once(names, Name::text, Name::span, "a second state '%s'");
            block.entries().stream().map(Commented::node).forEach(layouts::states);
        }
    }

    private void param(ParamRule rule) {
        layouts.param(rule, wholeRules || !broken.test(rule.span()));
        for (Clause clause : rule.layout()) {
            switch (clause) {
                case Clause.WithStates(Name block, _) -> knownBlock(block);
                case Clause.Cast(Name state, Name dtype, _) -> {
                    knownState(state);
                    knownDtype(dtype);
                }
                default -> {}
            }
        }
    }

    private void patterns() {
        Predicate<ParamRule> fallback = ParamRule::fallback;
        Stream<ParamRule> first = spec.params().stream().filter(fallback.negate());
        noSecond(first.map(ParamRule::patterns), "a second rule for %s");
        Stream<ParamRule> last = spec.params().stream().filter(fallback);
        noSecond(last.map(ParamRule::patterns), "a second default rule for %s");
        noSecond(spec.drops().stream().map(DropRule::patterns), "a second drop of %s");
        noSecond(spec.frozen().stream().map(FrozenRule::patterns), "a second 'frozen' for %s");
        noSecond(spec.renames().stream().map(RenameRule::left), "a second rename of %s");
        noSecond(spec.renames().stream().map(RenameRule::right), "a second rename to %s");
    }

    private void noSecond(Stream<? extends List<? extends NamePattern>> lists, String complaint) {
        List<NamePattern> patterns = new ArrayList<>();
        lists.forEach(patterns::addAll);
        patterns.removeIf(pattern -> broken.test(pattern.span()));
        once(patterns, TermPrinter::pattern, NamePattern::span, complaint);
    }

    private void group(GroupRule group) {
        if (group.members().isEmpty() && !broken.test(group.span())) {
            String message =
                    "group '%s' without a member; expected a name pattern".formatted(group.name());
            problems.add(Diagnostic.error(group.name().span(), message));
        }
        once(group.patterns(), TermPrinter::pattern, NamePattern::span, "%s twice in one group");
        group.states().ifPresent(this::knownBlock);
        group.flatten().ifPresent(flatten -> axes.plainAxes(flatten.axis()));
    }

    private void cast(CastRule rule) {
        knownState(rule.state());
        knownDtype(rule.dtype());
    }

    private void knownBlock(Name block) {
        Set<String> blocks = new TreeSet<>();
        spec.states().forEach(states -> blocks.add(states.name().text()));
        if (whole || (!blocks.isEmpty() && wholeStates())) {
            known(block, "block of states", blocks);
        }
    }

    private void knownState(Name state) {
        Set<String> states = new TreeSet<>();
        spec.states().stream()
                .flatMap(block -> block.entries().stream())
                .flatMap(entry -> entry.node().states().stream())
                .forEach(name -> states.add(name.text()));
        boolean open = states.isEmpty() || !wholeStates();
        states.add("weight");
        if (!open) {
            known(state, "state", states);
        }
    }

    private boolean wholeStates() {
        return spec.imports().isEmpty()
                && spec.states().stream().noneMatch(states -> broken.test(states.span()));
    }

    private void knownDtype(Name dtype) {
        known(dtype, "dtype", DTYPES);
    }

    private void known(Name name, String what, Set<String> names) {
        if (names.contains(name.text())) {
            return;
        }
        String expected = names.isEmpty() ? "" : "; expected " + Words.oneOf(List.copyOf(names));
        Diagnostic unknown =
                Diagnostic.error(name.span(), "unknown %s '%s'%s".formatted(what, name, expected));
        problems.add(
                problems.near().hint(name.text(), names).map(unknown::withHint).orElse(unknown));
    }
}
