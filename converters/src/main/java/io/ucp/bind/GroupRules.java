package io.ucp.bind;

import io.ucp.formats.FlatGroup;
import io.ucp.lang.ast.GroupRule;
import io.ucp.lang.ast.NamePattern;
import io.ucp.lang.ast.Spec;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;

/// The `group` statements of a spec held against the optimizer groups of the checkpoint: each is
/// one of them, and where the spec lists the flat order, the members lie in it.
final class GroupRules {
    private final List<GroupRule> groups;
    private final Map<GroupRule, List<RulePattern>> patterns = new HashMap<>();
    private final Problems problems;
    private final boolean everyRuleOptional;
    private final boolean firstMatchWins;

    GroupRules(Spec spec, Problems problems) {
        this.groups = spec.groups();
        this.problems = problems;
        this.everyRuleOptional = spec.everyRuleOptional();
        this.firstMatchWins = spec.firstMatchWins();
        groups.forEach(g -> patterns.put(g, g.patterns().stream().map(RulePattern::of).toList()));
    }

    /// The group of a parameter; an exact name goes before a pattern.
    Optional<GroupRule> of(String name) {
        Optional<GroupRule> best = Optional.empty();
        for (GroupRule group : groups) {
            for (RulePattern p : patterns.getOrDefault(group, List.of())) {
                if (p.match(name).isPresent()) {
                    if (p.isExact()) {
                        return Optional.of(group);
                    }
                    best = best.or(() -> Optional.of(group));
                }
            }
        }
        return best;
    }

    /// A flat group of the checkpoint with the global names of its members, in flat order.
    record Members(FlatGroup flat, List<String> names) {}

    void check(List<Members> members) {
        if (groups.isEmpty()) {
            return;
        }
        Map<GroupRule, Set<Integer>> numbers = new LinkedHashMap<>();
        Map<Integer, Set<String>> strangers = new LinkedHashMap<>();
        for (Members of : members) {
            FlatGroup group = of.flat;
            if (group.optimizerGroup() < 0) {
                continue;
            }
            for (String name : of.names) {
                once(name);
                of(name).ifPresentOrElse(
                                rule ->
                                        numbers.computeIfAbsent(rule, _ -> new TreeSet<>())
                                                .add(group.optimizerGroup()),
                                () ->
                                        strangers
                                                .computeIfAbsent(
                                                        group.optimizerGroup(),
                                                        _ -> new LinkedHashSet<>())
                                                .add(name));
            }
            checkOrder(group, of.names);
        }
        strangers.forEach(
                (number, names) ->
                        problems.error(
                                groups.getLast().name().span(),
                                "%s of optimizer group %d is in no group; expected a pattern for every"
                                                .formatted(Listing.of(names), number)
                                        + " trained parameter"));
        for (GroupRule group : groups) {
            Set<Integer> own = numbers.getOrDefault(group, new TreeSet<>());
            if (own.size() > 1) {
                problems.error(
                        group.name().span(),
                        "group '%s' holds members of optimizer groups %s; expected one"
                                .formatted(group.name(), own));
            } else if (own.isEmpty() && !group.optional() && !everyRuleOptional) {
                problems.error(
                        group.name().span(),
                        "group '%s' matches nothing in the checkpoint's optimizer groups"
                                .formatted(group.name()),
                        "write 'optional' before a group that may be empty");
            }
        }
        shared(numbers);
    }

    /// No parameter is of two groups: an exact name goes before a pattern, else it is not said.
    private void once(String name) {
        List<GroupRule> exact = new ArrayList<>();
        List<GroupRule> matching = new ArrayList<>();
        for (GroupRule group : groups) {
            List<RulePattern> matched =
                    patterns.getOrDefault(group, List.of()).stream()
                            .filter(p -> p.match(name).isPresent())
                            .toList();
            if (matched.stream().anyMatch(RulePattern::isExact)) {
                exact.add(group);
            } else if (!matched.isEmpty()) {
                matching.add(group);
            }
        }
        List<GroupRule> best = exact.isEmpty() ? matching : exact;
        if (best.size() > 1 && !firstMatchWins) {
            problems.error(
                    best.get(1).name().span(),
                    "twice",
                    name,
                    "is in two groups, '%s' and '%s'; expected one"
                            .formatted(best.get(0).name(), best.get(1).name()),
                    Optional.of("narrow one of the patterns, or say 'first match wins'"));
        }
    }

    private void shared(Map<GroupRule, Set<Integer>> numbers) {
        Map<Integer, GroupRule> owners = new HashMap<>();
        numbers.forEach(
                (group, own) -> {
                    for (int number : own) {
                        GroupRule other = owners.putIfAbsent(number, group);
                        if (other != null && !other.equals(group) && own.size() == 1) {
                            problems.error(
                                    group.name().span(),
                                    "groups '%s' and '%s' are both optimizer group %d of the checkpoint;"
                                                    .formatted(other.name(), group.name(), number)
                                            + " expected one");
                        }
                    }
                });
    }

    private void checkOrder(FlatGroup flat, List<String> names) {
        int last = -1;
        String before = "";
        for (String name : names) {
            Optional<GroupRule> rule = of(name);
            if (rule.isEmpty()
                    || rule.get().order().filter(GroupRule.Order.LISTED::equals).isEmpty()) {
                continue;
            }
            OptionalInt position = position(rule.get(), name);
            if (position.isPresent() && position.getAsInt() < last) {
                NamePattern late = rule.get().patterns().get(last);
                problems.error(
                        late.span(),
                        "order",
                        name,
                        "follows '%s' in optimizer group %d at %s; the list has it before"
                                .formatted(before, flat.optimizerGroup(), flat.at()),
                        Optional.of("write 'order checkpoint' to take the checkpoint's own order"));
                return;
            }
            last = position.orElse(last);
            before = name;
        }
    }

    private OptionalInt position(GroupRule group, String name) {
        List<RulePattern> all = patterns.getOrDefault(group, List.of());
        List<Integer> matching = new ArrayList<>();
        for (int i = 0; i < all.size(); i++) {
            if (all.get(i).match(name).isPresent()) {
                if (all.get(i).isExact()) {
                    return OptionalInt.of(i);
                }
                matching.add(i);
            }
        }
        return matching.isEmpty() ? OptionalInt.empty() : OptionalInt.of(matching.getFirst());
    }
}
