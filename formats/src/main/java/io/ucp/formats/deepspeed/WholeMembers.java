package io.ucp.formats.deepspeed;

import io.ucp.formats.HeldTensor;
import io.ucp.formats.deepspeed.writing.ExpertSplit;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/// Which parameters the groups of an optimizer hold that numbers them.
///
/// A group has its parameters in the order in which the optimizer was given them, which is the
/// model's own. So one group is all parameters in order. Of several, a group has every parameter of
/// a shape that no other group has; where two have the same shape, nothing tells. A newer torch
/// names them (`param_names`), which needs no such proof.
final class WholeMembers {
    private WholeMembers() {}

    /// The shape of what is held at a position of a group under a number, absent where it took no
    /// step.
    interface Shapes {
        Optional<Shape> of(int group, int position, long number);
    }

    static List<Long> numbers(PickleValue paramGroup) {
        return paramGroup.find("params").flatMap(PickleValue::asSequence).orElse(List.of()).stream()
                .map(n -> n.asLong().orElse(-1))
                .toList();
    }

    /// @param parameters in the model's order
    static Optional<List<List<HeldTensor>>> byNumber(
            List<PickleValue> groups, Shapes shapes, List<HeldTensor> parameters) {
        int all = groups.stream().mapToInt(g -> numbers(g).size()).sum();
        if (groups.isEmpty() || all != parameters.size()) {
            return Optional.empty();
        }
        Optional<List<List<HeldTensor>>> named = byName(groups, parameters);
        if (named.isPresent()) {
            return named;
        }
        if (groups.size() == 1) {
            return fits(0, numbers(groups.getFirst()), shapes, parameters)
                    ? Optional.of(List.of(parameters))
                    : Optional.empty();
        }
        return byShape(groups, shapes, parameters)
                .or(() -> split(groups, parameters).filter(of -> fit(groups, shapes, of)));
    }

    private static boolean fit(
            List<PickleValue> groups, Shapes shapes, List<List<HeldTensor>> members) {
        boolean fit = members.size() == groups.size();
        for (int g = 0; fit && g < groups.size(); g++) {
            List<Long> numbers = numbers(groups.get(g));
            fit =
                    numbers.size() == members.get(g).size()
                            && fits(g, numbers, shapes, members.get(g));
        }
        return fit;
    }

    private static Optional<List<List<HeldTensor>>> byShape(
            List<PickleValue> groups, Shapes shapes, List<HeldTensor> parameters) {
        Map<Shape, Integer> owners = new HashMap<>();
        for (int g = 0; g < groups.size(); g++) {
            List<Long> numbers = numbers(groups.get(g));
            for (int i = 0; i < numbers.size(); i++) {
                Optional<Shape> shape = shapes.of(g, i, numbers.get(i));
                if (shape.isEmpty()
                        || owners.merge(shape.get(), g, (a, b) -> a.equals(b) ? a : -1) != g) {
                    return Optional.empty();
                }
            }
        }
        List<List<HeldTensor>> found = new ArrayList<>();
        for (int g = 0; g < groups.size(); g++) {
            int group = g;
            List<HeldTensor> own =
                    parameters.stream()
                            .filter(p -> owners.getOrDefault(p.shape(), -1) == group)
                            .toList();
            List<Long> numbers = numbers(groups.get(g));
            if (own.size() != numbers.size() || !fits(g, numbers, shapes, own)) {
                return Optional.empty();
            }
            found.add(own);
        }
        return Optional.of(found);
    }

    private static boolean fits(
            int group, List<Long> numbers, Shapes shapes, List<HeldTensor> parameters) {
        for (int i = 0; i < numbers.size(); i++) {
            Optional<Shape> shape = shapes.of(group, i, numbers.get(i));
            if (shape.isPresent() && !shape.get().equals(parameters.get(i).shape())) {
                return false;
            }
        }
        return true;
    }

    private static Optional<List<List<HeldTensor>>> byName(
            List<PickleValue> groups, List<HeldTensor> parameters) {
        Map<String, HeldTensor> known =
                parameters.stream()
                        .collect(Collectors.toMap(HeldTensor::name, p -> p, (a, _) -> a));
        Set<String> seen = new HashSet<>();
        List<List<HeldTensor>> found = new ArrayList<>();
        for (PickleValue group : groups) {
            List<HeldTensor> own = new ArrayList<>();
            for (PickleValue name :
                    group.find("param_names").flatMap(PickleValue::asSequence).orElse(List.of())) {
                HeldTensor parameter = known.get(name.asText().orElse(""));
                if (parameter == null || !seen.add(parameter.name())) {
                    return Optional.empty();
                }
                own.add(parameter);
            }
            if (own.size() != numbers(group).size()) {
                return Optional.empty();
            }
            found.add(own);
        }
        return Optional.of(found);
    }

    /// @param counts elements of each group's flat tensor: of one group all, of two those of
    ///   matrices and those of vectors, as weight decay tells them apart
    static Optional<List<List<HeldTensor>>> byElements(
            List<Long> counts, List<PickleValue> groups, List<HeldTensor> parameters) {
        if (counts.size() == 1) {
            return count(parameters) == counts.getFirst()
                    ? Optional.of(List.of(parameters))
                    : Optional.empty();
        }
        return byRank(counts, parameters)
                .or(() -> split(groups, parameters).filter(of -> counts(of).equals(counts)));
    }

    private static Optional<List<List<HeldTensor>>> byRank(
            List<Long> counts, List<HeldTensor> parameters) {
        List<HeldTensor> vectors = parameters.stream().filter(p -> p.shape().rank() < 2).toList();
        List<HeldTensor> others = parameters.stream().filter(p -> p.shape().rank() >= 2).toList();
        if (counts.size() != 2 || count(vectors) == count(others)) {
            return Optional.empty();
        }
        if (counts.equals(List.of(count(others), count(vectors)))) {
            return Optional.of(List.of(others, vectors));
        }
        return counts.equals(List.of(count(vectors), count(others)))
                ? Optional.of(List.of(vectors, others))
                : Optional.empty();
    }

    /// As DeepSpeed splits one group of experts that is too large: the groups have the same
    /// hyperparameters then.
    private static Optional<List<List<HeldTensor>>> split(
            List<PickleValue> groups, List<HeldTensor> parameters) {
        boolean one =
                groups.stream()
                                .allMatch(
                                        g ->
                                                ExpertSplit.isExpert(g)
                                                        && ExpertSplit.alike(g, groups.getFirst()))
                        && !parameters.isEmpty();
        return one
                ? Optional.of(ExpertSplit.of(parameters, p -> p.shape().count()))
                : Optional.empty();
    }

    private static List<Long> counts(List<List<HeldTensor>> groups) {
        return groups.stream().map(WholeMembers::count).toList();
    }

    private static long count(List<HeldTensor> of) {
        return of.stream().mapToLong(p -> p.shape().count()).reduce(0, Math::addExact);
    }
}
