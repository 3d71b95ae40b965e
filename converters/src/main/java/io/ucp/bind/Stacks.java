package io.ucp.bind;

import io.ucp.lang.ast.Commented;
import io.ucp.lang.ast.NamePattern.Glob;
import io.ucp.lang.ast.RenameRule;
import io.ucp.lang.ast.RenameStep;

import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.LongStream;

/// Renames whose name on the left stands for several that are stacked: rules with a name for each.
final class Stacks {
    /// As many as no model has experts.
    private static final long LARGEST = 65_536;

    private final Numbers numbers;
    private final Problems problems;
    private final IdentityHashMap<RenameRule, Stack> stacks = new IdentityHashMap<>();

    /// @param name as written
    private record Stack(Glob name, String capture, long count) {}

    Stacks(Numbers numbers, Problems problems) {
        this.numbers = numbers;
        this.problems = problems;
    }

    /// The rule with a name on the left for each; a rule that stacks nothing as it is.
    ///
    /// @return nothing where it is not known how many there are; then that has been said
    Optional<RenameRule> each(RenameRule rule) {
        Optional<RenameStep.Stack> step =
                rule.steps().stream()
                        .map(Commented::node)
                        .filter(RenameStep.Stack.class::isInstance)
                        .map(RenameStep.Stack.class::cast)
                        .findFirst();
        return step.isEmpty() ? Optional.of(rule) : each(rule, step.get());
    }

    private Optional<RenameRule> each(RenameRule rule, RenameStep.Stack step) {
        OptionalLong known = numbers.value(step.count());
        if (known.isEmpty()) {
            return Optional.empty();
        }
        long count = known.getAsLong();
        if (count < 1 || count > LARGEST) {
            problems.error(
                    step.span(), "a stack of %d; expected 1 to %d".formatted(count, LARGEST));
            return Optional.empty();
        }
        Glob name = rule.left().getFirst();
        String capture = step.capture().text();
        RenameRule each =
                new RenameRule(
                        rule.optional(),
                        LongStream.range(0, count).mapToObj(n -> name.with(capture, n)).toList(),
                        rule.right(),
                        rule.steps(),
                        rule.span());
        stacks.put(each, new Stack(name, capture, count));
        return Optional.of(each);
    }

    /// The names on the left as they are written.
    List<Glob> names(RenameRule rule) {
        Stack stack = stacks.get(rule);
        return stack == null ? rule.left() : List.of(stack.name);
    }

    /// What a name on the left captures of the whole rule, its number in the stack left out.
    ///
    /// @param captures by one of [#names]
    /// @return nothing where there is no place for it in the stack; then that has been said
    Optional<Map<String, String>> captures(
            RenameRule rule, Map<String, String> captures, String name) {
        Stack stack = stacks.get(rule);
        if (stack == null) {
            return Optional.of(captures);
        }
        Map<String, String> rest = new LinkedHashMap<>(captures);
        String number = String.valueOf(rest.remove(stack.capture));
        boolean inside = NameTemplate.isNumber(number) && Long.parseLong(number) < stack.count;
        if (!inside || (number.length() > 1 && number.startsWith("0"))) {
            problems.error(
                    stack.name.span(),
                    "stack",
                    name,
                    "is none of the %d that are stacked; expected numbers from 0"
                            .formatted(stack.count),
                    Optional.empty());
            return Optional.empty();
        }
        return Optional.of(rest);
    }
}
