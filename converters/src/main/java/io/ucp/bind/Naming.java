package io.ucp.bind;

import io.ucp.bind.Renamed.Side;
import io.ucp.formats.ParameterFacts;
import io.ucp.lang.ast.CastRule;
import io.ucp.lang.ast.Clause;
import io.ucp.lang.ast.DropRule;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.Spec;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// What a spec says of parameters that are known whole, wherever their elements lie: which it
/// leaves out, the dtypes that it gives, and the other names that they have by its renames.
///
/// @param dropped names that the spec leaves out, with the rule that does
/// @param casts parameter -> state -> dtype in the target
/// @param renames what the others become, held on the left; parameters that no rename matches keep
///   their names
/// @param numbers of the model, those that follow from shapes and names included
public record Naming(
        Map<String, String> dropped,
        Map<String, Map<String, DType>> casts,
        List<Renamed> renames,
        Map<String, Long> numbers) {
    public Naming {
        numbers = Map.copyOf(numbers);
        dropped = Map.copyOf(dropped);
        casts = Map.copyOf(casts);
        renames = List.copyOf(renames);
    }

    /// From the names on the left to those on the right. Every name must be one of a `param` or
    /// `drop` rule, every rule must be used, and declared shapes must be those that are held.
    ///
    /// @param known the model's numbers, where the spec gives none
    /// @param settings from `--set name=value`
    /// @throws io.ucp.lang.diagnostic.SpecException with everything in which they do not fit
    public static Naming forward(
            Spec spec,
            List<ParameterFacts> parameters,
            Map<String, Long> known,
            Map<String, Long> settings) {
        Problems problems = new Problems();
        Naming naming = forward(spec, parameters, known, settings, problems);
        problems.throwIfAny();
        return naming;
    }

    /// Whether these are the names, and the shapes, on the left of a spec.
    public static boolean fits(
            Spec spec,
            List<ParameterFacts> parameters,
            Map<String, Long> known,
            Map<String, Long> settings) {
        Problems problems = new Problems();
        forward(spec, parameters, known, settings, problems);
        return !problems.any();
    }

    static Naming forward(
            Spec spec,
            List<ParameterFacts> parameters,
            Map<String, Long> known,
            Map<String, Long> settings,
            Problems problems) {
        Map<String, Long> all = ShapeNumbers.forward(spec, parameters, known);
        Numbers numbers = new Numbers(spec, Optional.empty(), settings, all, problems);
        Rules rules = new Rules(spec, problems);
        Map<String, String> dropped = new LinkedHashMap<>();
        Map<String, Map<String, DType>> casts = new LinkedHashMap<>();
        Map<String, String> places = new LinkedHashMap<>();
        Set<String> names = new LinkedHashSet<>();
        Set<NamePattern> tied = new HashSet<>();
        parameters.forEach(p -> names.add(p.name()));
        for (ParameterFacts p : parameters) {
            places.put(p.name(), "every rank");
            Optional<Rules.Chosen> chosen = rules.choose(p.name());
            if (chosen.isEmpty()) {
                continue;
            }
            Optional<ParamRule> rule = chosen.get().rule().param();
            if (rule.isEmpty()) {
                dropped.put(p.name(), chosen.get().rule().label());
                continue;
            }
            shape(p, rule.get(), chosen.get(), numbers, problems);
            Map<String, DType> cast = casts(spec, rule.get(), problems);
            cast.keySet().retainAll(p.states().keySet());
            if (!cast.isEmpty()) {
                casts.put(p.name(), cast);
            }
        }
        for (ParamRule rule : spec.params()) {
            if (rule.layout().stream().anyMatch(Clause.TiedTo.class::isInstance)) {
                tied.addAll(rule.patterns());
            }
        }
        rules.reportUnused(names, tied);
        rules.reportUnmatched(name -> places.getOrDefault(name, "some rank"), spec.span());
        if (rules.fit(names) == Rules.Fit.OTHER) {
            problems.sole(rules.place(), rules.misfit(names), "`ucp spec list` has others");
        }
        List<Side> kept =
                parameters.stream()
                        .filter(p -> !dropped.containsKey(p.name()))
                        .map(Side::of)
                        .toList();
        List<Renamed> renames =
                problems.any() ? List.of() : Renames.of(spec, kept, numbers, problems);
        return new Naming(dropped, casts, renames, all);
    }

    private static void shape(
            ParameterFacts p,
            ParamRule rule,
            Rules.Chosen chosen,
            Numbers numbers,
            Problems problems) {
        if (rule.shape().isEmpty()) {
            return;
        }
        Optional<List<Long>> declared = numbers.values(rule.shape().get().extents());
        if (declared.isEmpty()
                || declared.get().equals(extents(p.realShape()))
                || declared.get().equals(extents(p.shape()))) {
            return;
        }
        problems.error(
                chosen.span(),
                "shape",
                p.name(),
                "has shape %s; the rule declares %s".formatted(p.realShape(), declared.get()),
                Optional.empty());
    }

    private static List<Long> extents(Shape shape) {
        return Arrays.stream(shape.dims()).boxed().toList();
    }

    /// The rule's own goes before that of the spec.
    private static Map<String, DType> casts(Spec spec, ParamRule rule, Problems problems) {
        Map<String, DType> casts = new LinkedHashMap<>();
        for (CastRule cast : spec.casts()) {
            RuleReader.dtype(cast.dtype(), problems)
                    .ifPresent(dtype -> casts.put(cast.state().text(), dtype));
        }
        for (Clause clause : rule.layout()) {
            if (clause instanceof Clause.Cast cast) {
                RuleReader.dtype(cast.dtype(), problems)
                        .ifPresent(dtype -> casts.put(cast.state().text(), dtype));
            }
        }
        return casts;
    }

    /// From the names on the right to those on the left. What no rename matches and a `drop` rule
    /// does is left out.
    ///
    /// @param known the model's numbers, where the spec gives none
    /// @param settings from `--set name=value`
    /// @throws io.ucp.lang.diagnostic.SpecException with everything in which they do not fit
    public static Naming back(
            Spec spec,
            List<ParameterFacts> parameters,
            Map<String, Long> known,
            Map<String, Long> settings) {
        Problems problems = new Problems();
        Naming naming = back(spec, parameters, known, settings, problems);
        problems.throwIfAny();
        return naming;
    }

    static Naming back(
            Spec spec,
            List<ParameterFacts> parameters,
            Map<String, Long> known,
            Map<String, Long> settings,
            Problems problems) {
        Map<String, Long> all = ShapeNumbers.back(spec, parameters, known);
        Numbers numbers = new Numbers(spec, Optional.empty(), settings, all, problems);
        List<Renamed> renames =
                Renames.back(spec, parameters.stream().map(Side::of).toList(), numbers, problems);
        Set<String> renamed = new HashSet<>();
        renames.forEach(r -> r.left().forEach(side -> renamed.add(side.name())));
        Map<String, String> dropped = new LinkedHashMap<>();
        for (DropRule rule : spec.all(DropRule.class)) {
            for (NamePattern written : rule.patterns()) {
                RulePattern pattern = RulePattern.of(written);
                for (ParameterFacts p : parameters) {
                    if (!renamed.contains(p.name()) && pattern.match(p.name()).isPresent()) {
                        dropped.putIfAbsent(p.name(), "drop " + PatternText.of(written));
                    }
                }
            }
        }
        return new Naming(dropped, Map.of(), renames, all);
    }

    /// Its renames alone.
    public Naming onlyRenames() {
        return new Naming(Map.of(), Map.of(), renames, numbers);
    }

    /// Names that neither a rename nor a drop speaks of.
    List<String> untouched(List<ParameterFacts> parameters) {
        Set<String> touched = new HashSet<>(dropped.keySet());
        renames.forEach(r -> r.left().forEach(side -> touched.add(side.name())));
        return parameters.stream()
                .map(ParameterFacts::name)
                .filter(name -> !touched.contains(name))
                .toList();
    }
}
