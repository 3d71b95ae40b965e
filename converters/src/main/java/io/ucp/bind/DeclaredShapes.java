package io.ucp.bind;

import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.Spec;
import io.ucp.tensor.Shape;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// The shapes that the `param` rules of a spec declare, by the names that they match.
final class DeclaredShapes {
    private record Declared(RulePattern pattern, io.ucp.lang.ast.Shape shape) {}

    private final Map<Boolean, List<Declared>> byExactness = new HashMap<>();
    private final Numbers numbers;

    DeclaredShapes(Spec spec, Numbers numbers) {
        this.numbers = numbers;
        List<Declared> all =
                spec.params().stream()
                        .filter(rule -> rule.shape().isPresent())
                        .flatMap(
                                rule ->
                                        rule.patterns().stream()
                                                .map(
                                                        p ->
                                                                new Declared(
                                                                        RulePattern.of(p),
                                                                        shape(rule))))
                        .toList();
        for (boolean exact : List.of(true, false)) {
            byExactness.put(exact, all.stream().filter(d -> d.pattern.isExact() == exact).toList());
        }
    }

    private static io.ucp.lang.ast.Shape shape(ParamRule rule) {
        return rule.shape().orElseThrow();
    }

    /// By the rule for the exact name, else by a pattern; nothing where no rule declares it or a
    /// number is not known.
    Optional<Shape> of(String name) {
        for (boolean exact : List.of(true, false)) {
            for (Declared declared : byExactness.getOrDefault(exact, List.of())) {
                if (declared.pattern.match(name).isPresent()) {
                    return numbers.values(declared.shape.extents())
                            .filter(extents -> extents.stream().allMatch(e -> e >= 0))
                            .map(Extents::shape);
                }
            }
        }
        return Optional.empty();
    }
}
