package io.ucp.bind;

import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.Expr;
import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.NamePattern.Glob;
import io.ucp.lang.ast.RenameRule;
import io.ucp.lang.ast.RenameStep;
import io.ucp.lang.diagnostic.Span;

import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.LongStream;

/// Renames with a name that stands for several, which are stacked (on the left) or unstacked (on
/// the right): rules with a name for each.
final class Stacks {
    /// As many as no model has experts.
    private static final long LARGEST = 65_536;

    private final Numbers numbers;
    private final Problems problems;
    private final IdentityHashMap<RenameRule, Side> left = new IdentityHashMap<>();
    private final IdentityHashMap<RenameRule, Side> right = new IdentityHashMap<>();

    /// @param names as written
    private record Side(List<Glob> names, String capture, long count) {
        /// The names of all, those of one written name behind each other.
        List<Glob> each() {
            return names.stream()
                    .flatMap(
                            name -> LongStream.range(0, count).mapToObj(n -> name.with(capture, n)))
                    .toList();
        }
    }

    Stacks(Numbers numbers, Problems problems) {
        this.numbers = numbers;
        this.problems = problems;
    }

    /// The rule with a name for each; a rule that stacks nothing as it is.
    ///
    /// @return nothing where it is not known how many there are; then that has been said
    Optional<RenameRule> each(RenameRule rule) {
        Optional<Side> stacked = Optional.empty();
        Optional<Side> unstacked = Optional.empty();
        for (RenameStep step : rule.steps().stream().map(Commented::node).toList()) {
            if (step instanceof RenameStep.Stack(Name capture, Expr count, Span span)) {
                stacked = side(rule.left(), capture, count, span);
                if (stacked.isEmpty()) {
                    return Optional.empty();
                }
            } else if (step instanceof RenameStep.Unstack(Name capture, Expr count, Span span)) {
                unstacked = side(rule.right(), capture, count, span);
                if (unstacked.isEmpty()) {
                    return Optional.empty();
                }
            }
        }
        if (stacked.isEmpty() && unstacked.isEmpty()) {
            return Optional.of(rule);
        }
        RenameRule each =
                new RenameRule(
                        rule.optional(),
                        stacked.map(Side::each).orElse(rule.left()),
                        unstacked.map(Side::each).orElse(rule.right()),
                        rule.steps(),
                        rule.span());
        stacked.ifPresent(s -> left.put(each, s));
        unstacked.ifPresent(s -> right.put(each, s));
        return Optional.of(each);
    }

    private Optional<Side> side(List<Glob> names, Name capture, Expr number, Span span) {
        OptionalLong known = numbers.value(number);
        if (known.isEmpty()) {
            return Optional.empty();
        }
        long count = known.getAsLong();
        if (count < 1 || count > LARGEST) {
            problems.error(span, "a stack of %d; expected 1 to %d".formatted(count, LARGEST));
            return Optional.empty();
        }
        return Optional.of(new Side(names, capture.text(), count));
    }

    /// The names of a side as they are written.
    ///
    /// @param back those on the right
    List<Glob> names(RenameRule rule, boolean back) {
        Side side = (back ? right : left).get(rule);
        return side != null ? side.names : back ? rule.right() : rule.left();
    }

    /// What a name captures of the whole rule, its number in a stack left out.
    ///
    /// @param captures by one of [#names]
    /// @return nothing where there is no place for it in the stack; then that has been said
    Optional<Map<String, String>> captures(
            RenameRule rule, boolean back, Map<String, String> captures, String name) {
        Side side = (back ? right : left).get(rule);
        if (side == null) {
            return Optional.of(captures);
        }
        Map<String, String> rest = new LinkedHashMap<>(captures);
        String number = String.valueOf(rest.remove(side.capture));
        boolean inside = NameTemplate.isNumber(number) && Long.parseLong(number) < side.count;
        if (!inside || (number.length() > 1 && number.startsWith("0"))) {
            problems.error(
                    side.names.getFirst().span(),
                    "stack",
                    name,
                    "is none of the %d that are stacked; expected numbers from 0"
                            .formatted(side.count),
                    Optional.empty());
            return Optional.empty();
        }
        return Optional.of(rest);
    }
}
