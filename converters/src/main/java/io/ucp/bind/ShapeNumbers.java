package io.ucp.bind;

import io.ucp.formats.ParameterFacts;
import io.ucp.lang.NameMatcher;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Let;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.ParamRule;
import io.ucp.lang.ast.RenameRule;
import io.ucp.lang.ast.RenameStep;
import io.ucp.lang.ast.Spec;
import io.ucp.tensor.Shape;

import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// Numbers of a model that follow from its parameters, for those that nothing gives: an extent that
/// a rule declares as one name (or so many times that), and how many layers (`{l}`) and experts
/// (`{e}`) there are. They are no proof of themselves: shapes are held against the rules
/// afterwards, and the first parameter decides.
final class ShapeNumbers {
    private final Spec spec;
    private final Map<String, Long> found = new HashMap<>();
    private final Map<String, Set<String>> captured = new HashMap<>();
    private final Set<String> constants = new HashSet<>();

    private ShapeNumbers(Spec spec, Map<String, Long> known) {
        this.spec = spec;
        this.found.putAll(known);
        spec.lets().stream().map(Let::name).forEach(name -> constants.add(name.text()));
    }

    /// Of parameters under the names on the left.
    ///
    /// @param known goes before what is found
    static Map<String, Long> forward(
            Spec spec, List<ParameterFacts> parameters, Map<String, Long> known) {
        ShapeNumbers numbers = new ShapeNumbers(spec, known);
        for (ParameterFacts p : parameters) {
            numbers.declared(p.name(), p.realShape(), true);
        }
        return numbers.all();
    }

    /// Of parameters under the names on the right.
    ///
    /// @param known goes before what is found
    static Map<String, Long> back(
            Spec spec, List<ParameterFacts> parameters, Map<String, Long> known) {
        ShapeNumbers numbers = new ShapeNumbers(spec, known);
        for (RenameRule rule : spec.renames()) {
            for (NamePattern.Glob right : rule.right()) {
                NameMatcher matcher = NameMatcher.of(right);
                for (ParameterFacts p : parameters) {
                    Optional<Map<String, String>> captures = matcher.match(p.name());
                    if (captures.isPresent()) {
                        numbers.note(captures.get());
                        if (rule.steps().isEmpty()
                                && captures.get()
                                        .keySet()
                                        .containsAll(rule.left().getFirst().captures())) {
                            numbers.declared(rule, captures.get(), p.realShape());
                        }
                        stack(rule).ifPresent(s -> numbers.stacked(rule, s, captures.get(), p));
                        if (isUnstack(rule)) {
                            numbers.unstacked(rule, captures.get(), p);
                        }
                    }
                }
            }
        }
        return numbers.all();
    }

    /// The step that is all that a rename does.
    private static Optional<RenameStep.Stack> stack(RenameRule rule) {
        return rule.steps().size() == 1
                        && rule.steps().getFirst().node() instanceof RenameStep.Stack stack
                ? Optional.of(stack)
                : Optional.empty();
    }

    /// Whether it takes matrices apart, the other way round, and does nothing else.
    private static boolean isUnstack(RenameRule rule) {
        return rule.steps().size() == 2
                && rule.steps().get(0).node() instanceof RenameStep.Transpose(var dims, _)
                && dims.filter(d -> d.first().index() == 1 && d.second().index() == 2).isPresent()
                && rule.steps().get(1).node() instanceof RenameStep.Unstack;
    }

    /// The shape of one of those that are taken apart; how many there are the names say.
    private void unstacked(RenameRule rule, Map<String, String> captures, ParameterFacts one) {
        Shape shape = one.realShape();
        if (shape.rank() != 2) {
            return;
        }
        String name = rule.left().getFirst().withCaptures(captures);
        for (ParamRule param : spec.params()) {
            for (NamePattern pattern : param.patterns()) {
                if (RulePattern.of(pattern).match(name).isPresent()) {
                    param.shape()
                            .filter(s -> s.extents().size() == 3)
                            .ifPresent(
                                    s ->
                                            extents(
                                                    s.extents().subList(1, 3),
                                                    Shape.of(shape.dim(1), shape.dim(0))));
                }
            }
        }
    }

    /// How many are stacked, and the shape of each.
    private void stacked(
            RenameRule rule,
            RenameStep.Stack stack,
            Map<String, String> captures,
            ParameterFacts all) {
        Shape shape = all.realShape();
        if (shape.rank() < 1) {
            return;
        }
        extents(List.of(stack.count()), Shape.of(shape.dim(0)));
        Map<String, String> first = new HashMap<>(captures);
        first.put(stack.capture().text(), "0");
        Shape one = Shape.of(Arrays.copyOfRange(shape.dims(), 1, shape.rank()));
        declared(rule, first, one);
    }

    /// By the rule for the name on the left of a rename.
    private void declared(RenameRule rule, Map<String, String> captures, Shape shape) {
        NameMatcher.of(rule.left().getFirst())
                .name(captures)
                .ifPresent(name -> declared(name, shape, false));
    }

    private Map<String, Long> all() {
        Map.of("l", "layers", "e", "experts")
                .forEach(
                        (capture, name) -> {
                            Set<String> members = captured.getOrDefault(capture, Set.of());
                            if (!members.isEmpty() && !constants.contains(name)) {
                                found.putIfAbsent(name, (long) members.size());
                            }
                        });
        return new TreeMap<>(found);
    }

    private void note(Map<String, String> captures) {
        captures.forEach(
                (capture, value) -> {
                    if (NameTemplate.isNumber(value)) {
                        captured.computeIfAbsent(capture, _ -> new TreeSet<>()).add(value);
                    }
                });
    }

    /// @param counted whether numbers in the name count layers: a framework may count them
    ///   otherwise than the names on the right do, which are counted then
    private void declared(String name, Shape shape, boolean counted) {
        for (ParamRule rule : spec.params()) {
            for (NamePattern pattern : rule.patterns()) {
                Optional<RulePattern.Match> match = RulePattern.of(pattern).match(name);
                if (match.isPresent()) {
                    if (counted) {
                        note(match.get().captures());
                    }
                    rule.shape()
                            .filter(s -> s.extents().size() == shape.rank())
                            .ifPresent(s -> extents(s.extents(), shape));
                }
            }
        }
    }

    private void extents(List<Expr> extents, Shape shape) {
        for (int d = 0; d < extents.size(); d++) {
            long extent = shape.dim(d);
            switch (extents.get(d)) {
                case Expr.Reference(var name) -> put(name.text(), extent);
                case Expr.Binary(
                                Expr.Literal(long times, _),
                                var operator,
                                Expr.Reference(var name),
                                _)
                        when operator == Expr.Operator.MULTIPLY
                                && times > 0
                                && extent % times == 0 ->
                        put(name.text(), extent / times);
                case Expr _ -> {
                    // Not one number.
                }
            }
        }
    }

    private void put(String name, long value) {
        if (!constants.contains(name)) {
            found.putIfAbsent(name, value);
        }
    }
}
