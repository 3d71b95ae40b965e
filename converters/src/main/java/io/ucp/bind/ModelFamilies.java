package io.ucp.bind;

import io.ucp.formats.ParameterFacts;
import io.ucp.lang.NameMatcher;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.Spec;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BiPredicate;
import java.util.stream.Collectors;

/// The bundled specs that say what a framework's parameters are called by Hugging Face, for one
/// kind of model each. Which of them a source is of follows from names, shapes and the model's
/// numbers.
public final class ModelFamilies {
    /// A family that fits.
    ///
    /// @param naming from the names that are held to the others
    public record Fit(String name, Spec spec, Naming naming) {}

    /// What was tried and why it is not one.
    ///
    /// @param fitting those that fit in everything
    /// @param near of those that do not, what is wrong with the ones that know most of the names;
    ///   family -> the first error
    public record Search(List<Fit> fitting, Map<String, String> near) {
        public Search {
            fitting = List.copyOf(fitting);
            near = Map.copyOf(near);
        }
    }

    private record Family(String name, Spec spec) {}

    private static volatile List<Family> bundled = List.of();

    private ModelFamilies() {}

    /// Parsed once.
    private static List<Family> all() {
        if (bundled.isEmpty()) {
            List<Family> families = new ArrayList<>();
            for (String name : SpecLibrary.names()) {
                Spec spec = SpecLibrary.find(name).orElseThrow();
                if (!spec.renames().isEmpty()) {
                    families.add(new Family(name, spec));
                }
            }
            bundled = List.copyOf(families);
        }
        return bundled;
    }

    /// Names of all families of a framework.
    ///
    /// @param framework `megatron_core`, ..; empty for all of them
    public static List<String> names(String framework) {
        return all().stream().map(Family::name).filter(name -> isOf(framework, name)).toList();
    }

    /// Numbers that some family reads.
    public static Set<String> numbers() {
        Set<String> names = new TreeSet<>();
        all().forEach(family -> names.addAll(SettingNames.of(family.spec)));
        return names;
    }

    private static boolean isOf(String framework, String name) {
        return framework.isEmpty() || (name + "_").startsWith(framework + "_");
    }

    /// The families whose own names these are. Of a family and its variant for other names of
    /// Hugging Face's (`.._in_memory`) that is the family. Those that give the same names from
    /// other elements (`megatron_legacy_gpt`, `.._v0`) are all meant: nobody guesses which.
    ///
    /// @param framework as in [#names]
    public static List<Fit> reading(
            List<ParameterFacts> parameters,
            Map<String, Long> known,
            Map<String, Long> settings,
            String framework) {
        Set<String> kinds = kinds(parameters);
        List<Fit> fits = new ArrayList<>();
        for (Family family : all()) {
            if (isOf(framework, family.name) && speaksOf(family, kinds, false)) {
                Problems problems = new Problems();
                Naming naming = Naming.forward(family.spec, parameters, known, settings, problems);
                if (!problems.any()
                        && !naming.renames().isEmpty()
                        && naming.untouched(parameters).isEmpty()) {
                    fits.add(new Fit(family.name, family.spec, naming));
                }
            }
        }
        return main(fits, (o, f) -> !called(o).equals(called(f)));
    }

    /// Hugging Face's names.
    private static Set<String> called(Fit fit) {
        return fit.naming.renames().stream()
                .flatMap(renamed -> renamed.right().stream())
                .map(Renamed.Side::name)
                .collect(Collectors.toSet());
    }

    /// The families that have these as Hugging Face's names. A family whose name goes on from that
    /// of another one (`megatron_core_llama_hf_local`) is a variant of it, which is not meant
    /// unless it is named.
    ///
    /// @param framework as in [#names]
    public static Search writing(
            List<ParameterFacts> parameters,
            Map<String, Long> known,
            Map<String, Long> settings,
            String framework) {
        Set<String> kinds = kinds(parameters);
        List<Fit> fits = new ArrayList<>();
        Map<String, String> near = new TreeMap<>();
        for (Family family : all()) {
            if (!isOf(framework, family.name) || !speaksOf(family, kinds, true)) {
                continue;
            }
            Problems problems = new Problems();
            Naming naming = Naming.back(family.spec, parameters, known, settings, problems);
            List<String> untouched = naming.untouched(parameters);
            if (problems.any() && untouched.isEmpty()) {
                near.put(family.name, problems.first());
            } else if (!problems.any()
                    && untouched.isEmpty()
                    && isModel(family, naming, parameters, known, settings)) {
                fits.add(new Fit(family.name, family.spec, naming));
            }
        }
        return new Search(main(fits, (_, _) -> true), near);
    }

    /// Without variants of those that fit too: whose names go on from theirs, and of which the test
    /// is true.
    private static List<Fit> main(List<Fit> fits, BiPredicate<Fit, Fit> isVariant) {
        return fits.stream()
                .filter(
                        f ->
                                fits.stream()
                                        .noneMatch(
                                                o ->
                                                        !o.equals(f)
                                                                && isOf(o.name, f.name)
                                                                && isVariant.test(o, f)))
                .toList();
    }

    /// Whether the names that come of it are those of the family's rules.
    private static boolean isModel(
            Family family,
            Naming naming,
            List<ParameterFacts> parameters,
            Map<String, Long> known,
            Map<String, Long> settings) {
        Map<String, ParameterFacts> byName = new HashMap<>();
        parameters.forEach(p -> byName.put(p.name(), p));
        List<ParameterFacts> own = new ArrayList<>();
        for (Renamed renamed : naming.renames()) {
            ParameterFacts first =
                    Objects.requireNonNull(byName.get(renamed.left().getFirst().name()));
            renamed.right().forEach(side -> own.add(named(first, side)));
        }
        Problems problems = new Problems();
        Naming unused = Naming.forward(family.spec, own, known, settings, problems);
        return !problems.any() && !unused.renames().isEmpty();
    }

    private static ParameterFacts named(ParameterFacts p, Renamed.Side side) {
        return new ParameterFacts(
                side.name(),
                side.shape(),
                side.realShape(),
                p.states(),
                p.scalars(),
                side.split(),
                p.trainable(),
                p.buffer(),
                p.optimizerGroup(),
                side.aliases(),
                Map.of(),
                p.notes());
    }

    /// One name of each kind: names that differ in numbers only are alike to patterns.
    private static Set<String> kinds(List<ParameterFacts> parameters) {
        Map<String, String> kinds = new LinkedHashMap<>();
        parameters.forEach(p -> kinds.putIfAbsent(NameTemplate.of(p.name()), p.name()));
        return new LinkedHashSet<>(kinds.values());
    }

    /// Whether some rule speaks of every one of these names.
    private static boolean speaksOf(Family family, Set<String> names, boolean right) {
        List<NamePattern> patterns = new ArrayList<>();
        family.spec.drops().forEach(rule -> patterns.addAll(rule.patterns()));
        if (right) {
            family.spec.renames().forEach(rule -> patterns.addAll(rule.right()));
        } else {
            family.spec.params().forEach(rule -> patterns.addAll(rule.patterns()));
        }
        List<NameMatcher> matchers =
                patterns.stream().map(pattern -> NameMatcher.of(anyNumber(pattern))).toList();
        return names.stream().allMatch(name -> matchers.stream().anyMatch(m -> m.matches(name)));
    }

    /// Constants that names count from may be any here.
    private static NamePattern anyNumber(NamePattern pattern) {
        return pattern instanceof NamePattern.Glob(var pieces, var span)
                ? new NamePattern.Glob(
                        pieces.stream()
                                .map(
                                        piece ->
                                                piece instanceof NamePattern.Piece.Counted
                                                        ? new NamePattern.Piece.Any(false)
                                                        : piece)
                                .toList(),
                        span)
                : pattern;
    }

    /// Whether these are Hugging Face's names of some family, whatever the shapes.
    public static boolean isHuggingFace(List<ParameterFacts> parameters) {
        Set<String> kinds = kinds(parameters);
        return all().stream().anyMatch(family -> speaksOf(family, kinds, true));
    }
}
