package io.ucp.bind;

import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Let;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Span;
import io.ucp.mesh.Mesh;

import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// The values of a spec's expressions. A name is looked up in this order: a `let`, the degree of an
/// axis, `--set`, a number of the checkpoint's own metadata.
final class Numbers {
    private final Map<String, Long> settings;
    private final Map<String, Let> lets = new LinkedHashMap<>();
    private final Optional<Mesh> mesh;
    private final Map<String, Long> hints;
    private final Problems problems;
    private final Map<String, OptionalLong> known = new HashMap<>();
    private final Set<String> open = new HashSet<>();

    /// @param mesh absent while the mesh itself is being read
    Numbers(
            Spec spec,
            Optional<Mesh> mesh,
            Map<String, Long> settings,
            Map<String, Long> hints,
            Problems problems) {
        this.settings = settings;
        this.mesh = mesh;
        this.hints = hints;
        this.problems = problems;
        for (Let let : spec.lets()) {
            if (lets.putIfAbsent(let.name().text(), let) != null) {
                problems.error(
                        let.name().span(),
                        "'%s' is there twice; expected one let".formatted(let.name()));
            }
        }
    }

    /// The value, or nothing where it cannot be known; then that has been said.
    OptionalLong value(Expr expression) {
        return switch (expression) {
            case Expr.Literal(long value, _) -> OptionalLong.of(value);
            case Expr.Reference(Name name) -> value(name);
            case Expr.Binary binary -> value(binary);
        };
    }

    /// The values of several; nothing where one of them cannot be known.
    Optional<List<Long>> values(List<Expr> expressions) {
        List<OptionalLong> all = expressions.stream().map(this::value).toList();
        return all.stream().allMatch(OptionalLong::isPresent)
                ? Optional.of(all.stream().map(OptionalLong::getAsLong).toList())
                : Optional.empty();
    }

    private OptionalLong value(Name name) {
        String text = name.text();
        OptionalLong cached = known.get(text);
        if (cached != null) {
            return cached;
        }
        Let let = lets.get(text);
        if (let != null) {
            return value(let, name);
        }
        if (mesh.isPresent() && mesh.get().has(text)) {
            return OptionalLong.of(mesh.get().degree(text));
        }
        Long set = settings.get(text);
        if (set != null) {
            return OptionalLong.of(set);
        }
        Long hint = hints.get(text);
        if (hint != null) {
            return OptionalLong.of(hint);
        }
        unknown(name);
        known.put(text, OptionalLong.empty());
        return OptionalLong.empty();
    }

    private void unknown(Name name) {
        Set<String> candidates = new HashSet<>(lets.keySet());
        candidates.addAll(settings.keySet());
        candidates.addAll(hints.keySet());
        mesh.ifPresent(m -> m.axes().forEach(a -> candidates.add(a.axis())));
        problems.error(
                name.span(),
                "'%s' is not known; expected a let, an axis, a number of the checkpoint, or --set %s=.."
                        .formatted(name, name),
                problems.near().hint(name.text(), candidates));
    }

    private OptionalLong value(Let let, Name use) {
        String text = let.name().text();
        if (!open.add(text)) {
            problems.error(use.span(), "'%s' depends on itself; expected a number".formatted(text));
            return OptionalLong.empty();
        }
        OptionalLong value = value(let.value());
        open.remove(text);
        known.put(text, value);
        return value;
    }

    private OptionalLong value(Expr.Binary binary) {
        OptionalLong left = value(binary.left());
        OptionalLong right = value(binary.right());
        if (left.isEmpty() || right.isEmpty()) {
            return OptionalLong.empty();
        }
        return apply(binary.operator(), left.getAsLong(), right.getAsLong(), binary.span());
    }

    private OptionalLong apply(Expr.Operator operator, long a, long b, Span span) {
        try {
            return switch (operator) {
                case ADD -> OptionalLong.of(Math.addExact(a, b));
                case SUBTRACT -> OptionalLong.of(Math.subtractExact(a, b));
                case MULTIPLY -> OptionalLong.of(Math.multiplyExact(a, b));
                case DIVIDE -> divide(a, b, span);
            };
        } catch (ArithmeticException _) {
            problems.error(
                    span,
                    "%d %s %d is too large; expected a number of 64 bits"
                            .formatted(a, operator.sign(), b));
            return OptionalLong.empty();
        }
    }

    private OptionalLong divide(long a, long b, Span span) {
        if (b == 0 || a % b != 0) {
            problems.error(
                    span,
                    b == 0
                            ? "%d / 0; expected a divisor that is not 0".formatted(a)
                            : "%d / %d leaves %d; expected a division without remainder"
                                    .formatted(a, b, Math.floorMod(a, b)));
            return OptionalLong.empty();
        }
        return OptionalLong.of(Math.divideExact(a, b));
    }
}
