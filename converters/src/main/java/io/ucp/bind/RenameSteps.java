package io.ucp.bind;

import io.ucp.lang.ast.Name;
import io.ucp.lang.ast.Part;
import io.ucp.lang.ast.RenameRule;
import io.ucp.lang.ast.RenameStep;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.layout.Rearrangement;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.IntStream;

/// Takes the parameters on the left of a rename through its steps.
final class RenameSteps {
    /// What comes of them.
    ///
    /// @param toMiddle of each parameter on the left, to the tensor between the sides
    /// @param right tensors; their moves are from the tensor between the sides
    /// @param joined extents of the parts along the dimension that they are joined in, where they
    ///   are
    record Outcome(
            List<List<Rearrangement>> toMiddle,
            List<RenamedTensor> right,
            Optional<Joined> joined,
            boolean cut,
            boolean viewed) {}

    /// @param dim after folding
    record Joined(int dim, int origin, List<Long> parts) {}

    private final RenameRule rule;
    private final Numbers numbers;
    private final Problems problems;
    private final String name;

    /// The tensors as they are now: those of the left until a join, then one, then those of the
    /// right.
    private List<RenamedTensor> tensors;

    private List<List<Rearrangement>> toMiddle;
    private List<String> parts = List.of();
    private Optional<Joined> joined = Optional.empty();
    private boolean cut;
    private boolean viewed;

    private RenameSteps(
            RenameRule rule,
            List<RenamedTensor> left,
            String name,
            Numbers numbers,
            Problems problems) {
        this.rule = rule;
        this.tensors = left;
        this.name = name;
        this.numbers = numbers;
        this.problems = problems;
        this.toMiddle = List.of(List.of());
        if (left.size() > 1) {
            parts = partsOfJoin();
        }
    }

    private List<String> partsOfJoin() {
        return rule.steps().stream()
                .map(s -> s.node())
                .filter(RenameStep.Join.class::isInstance)
                .flatMap(s -> ((RenameStep.Join) s).parts().stream())
                .map(p -> p.name().text())
                .toList();
    }

    /// @param name of the first parameter, for messages
    /// @return nothing where a step cannot be taken; then that has been said
    static Optional<Outcome> of(
            RenameRule rule,
            List<RenamedTensor> left,
            String name,
            Numbers numbers,
            Problems problems) {
        return new RenameSteps(rule, left, name, numbers, problems).run();
    }

    private Optional<Outcome> run() {
        for (var step : rule.steps()) {
            if (!taken(step.node())) {
                return Optional.empty();
            }
        }
        return Optional.of(
                new Outcome(
                        toMiddle,
                        tensors.stream().map(RenamedTensor::folded).toList(),
                        joined,
                        cut,
                        viewed));
    }

    private boolean taken(RenameStep step) {
        try {
            return switch (step) {
                case RenameStep.Split split -> split(split);
                case RenameStep.Join join -> join(join);
                case RenameStep.Stack _ -> stack();
                case RenameStep.Unstack unstack -> unstack(unstack);
                case RenameStep.ForParts each -> forParts(each);
                case RenameStep.View _, RenameStep.Transpose _, RenameStep.Permute _ -> {
                    List<RenamedTensor> after = new ArrayList<>();
                    for (RenamedTensor tensor : tensors) {
                        after.add(moved(tensor, step));
                    }
                    tensors = after;
                    yield true;
                }
            };
        } catch (ImpossibleLayoutException e) {
            fail(step, e.problem());
            return false;
        } catch (UnknownNumber _) {
            return false;
        }
    }

    /// A number that is not known; that has been said.
    private static final class UnknownNumber extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    private void fail(RenameStep step, String problem) {
        problems.error(
                step.span(), "rename", name, "cannot be renamed so: " + problem, Optional.empty());
    }

    private RenamedTensor moved(RenamedTensor tensor, RenameStep step) {
        return switch (step) {
            case RenameStep.View(var shape, _) -> {
                viewed = true;
                List<Long> extents =
                        numbers.values(shape.extents()).orElseThrow(UnknownNumber::new);
                if (extents.stream().anyMatch(e -> e < 0)) {
                    throw new ImpossibleLayoutException("view " + extents, "extents of 0 or more");
                }
                yield tensor.viewed(Extents.shape(extents));
            }
            case RenameStep.Permute(var order, _) ->
                    tensor.permuted(order.stream().map(d -> d.index()).toList());
            case RenameStep.Transpose(var dims, _) -> {
                if (dims.isEmpty() && tensor.shape().rank() != 2) {
                    throw new ImpossibleLayoutException(
                            "transpose of a tensor " + tensor.shape(),
                            "a matrix, or the two dimensions: transpose (A, B)");
                }
                int a = dims.map(d -> d.first().index()).orElse(0);
                int b = dims.map(d -> d.second().index()).orElse(1);
                List<Integer> order =
                        new ArrayList<>(IntStream.range(0, tensor.shape().rank()).boxed().toList());
                if (Math.max(a, b) >= order.size()) {
                    throw new ImpossibleLayoutException(
                            "dimension %d of a tensor %s".formatted(Math.max(a, b), tensor.shape()),
                            "0 to %d".formatted(order.size() - 1));
                }
                order.set(a, b);
                order.set(b, a);
                yield tensor.permuted(order);
            }
            case RenameStep.Split _,
                    RenameStep.Join _,
                    RenameStep.Stack _,
                    RenameStep.Unstack _,
                    RenameStep.ForParts _ ->
                    throw new IllegalStateException("a step of parts within one");
        };
    }

    private boolean forParts(RenameStep.ForParts each) {
        for (Name part : each.parts()) {
            int number = parts.indexOf(part.text());
            if (number < 0 || tensors.size() <= number) {
                problems.error(
                        part.span(),
                        "part '%s' is not there at this step; expected 'for' behind the split or before the join that names it"
                                .formatted(part));
                return false;
            }
            for (RenameStep step : each.steps()) {
                List<RenamedTensor> changed = new ArrayList<>(tensors);
                try {
                    changed.set(number, moved(tensors.get(number), step));
                } catch (ImpossibleLayoutException e) {
                    fail(step, e.problem());
                    return false;
                }
                tensors = changed;
            }
        }
        return true;
    }

    private boolean split(RenameStep.Split split) {
        if (tensors.size() != 1) {
            problems.error(split.span(), "a split before the join; expected it behind");
            return false;
        }
        RenamedTensor whole = tensors.getFirst();
        int dim = split.dim().index();
        if (dim >= whole.shape().rank()) {
            throw new ImpossibleLayoutException(
                    "dimension %d of a tensor %s".formatted(dim, whole.shape()),
                    "0 to %d".formatted(whole.shape().rank() - 1));
        }
        List<Long> extents = extents(split.parts(), whole.shape().dim(dim));
        List<RenamedTensor> after = new ArrayList<>();
        long at = 0;
        for (long extent : extents) {
            after.add(whole.cut(dim, at, extent));
            at += extent;
        }
        tensors = after;
        parts = split.parts().stream().map(p -> p.name().text()).toList();
        cut = true;
        return true;
    }

    /// As written, else equal.
    private List<Long> extents(List<Part> listed, long whole) {
        if (listed.stream().allMatch(p -> p.extent().isEmpty())) {
            if (whole % listed.size() != 0) {
                throw new ImpossibleLayoutException(
                        "%d equal parts of a dimension of %d".formatted(listed.size(), whole),
                        "a number of parts that divides it");
            }
            return listed.stream().map(_ -> whole / listed.size()).toList();
        }
        List<Long> extents = new ArrayList<>();
        for (Part part : listed) {
            OptionalLong value = part.extent().map(numbers::value).orElse(OptionalLong.empty());
            extents.add(value.orElseThrow(UnknownNumber::new));
        }
        long sum = extents.stream().mapToLong(Long::longValue).sum();
        if (sum != whole || extents.stream().anyMatch(e -> e < 0)) {
            throw new ImpossibleLayoutException(
                    "parts %s that come to %d".formatted(extents, sum),
                    "the %d of the dimension".formatted(whole));
        }
        return extents;
    }

    private boolean join(RenameStep.Join join) {
        int dim = join.dim().index();
        Shape first = tensors.getFirst().shape();
        Shape firstReal = tensors.getFirst().real();
        long sum = 0;
        List<Long> held = new ArrayList<>();
        for (RenamedTensor tensor : tensors) {
            if (dim >= tensor.shape().rank()
                    || !tensor.shape().with(dim, 0).equals(first.with(dim, 0))) {
                throw new ImpossibleLayoutException(
                        "parts %s".formatted(tensors.stream().map(RenamedTensor::shape).toList()),
                        "shapes that differ in dimension %d alone".formatted(dim));
            }
            if (!tensor.real().with(dim, 0).equals(firstReal.with(dim, 0))) {
                throw new ImpossibleLayoutException(
                        "parts padded from %s"
                                .formatted(tensors.stream().map(RenamedTensor::real).toList()),
                        "shapes that differ in dimension %d alone".formatted(dim));
            }
            held.add(tensor.shape().dim(dim));
            sum += tensor.shape().dim(dim);
        }
        if (join.parts().stream().anyMatch(p -> p.extent().isPresent())
                && !extents(join.parts(), sum).equals(held)) {
            throw new ImpossibleLayoutException(
                    "parts %s".formatted(extents(join.parts(), sum)),
                    "%s, as the parameters are".formatted(held));
        }
        RenamedTensor middle = laid(dim, sum);
        int origin = middle.origins().get(dim);
        boolean outermost = dim == 0 || middle.origins().get(dim - 1) != origin;
        int folded = middle.folded().places().getOrDefault(origin, 0);
        long inner = sum == 0 ? 1 : middle.folded().shape().dim(folded) / sum;
        joined =
                outermost
                        ? Optional.of(
                                new Joined(
                                        folded, origin, held.stream().map(h -> h * inner).toList()))
                        : Optional.empty();
        tensors = List.of(middle);
        parts = List.of();
        return true;
    }

    /// Those of the left end to end along a dimension.
    private RenamedTensor laid(int dim, long sum) {
        RenamedTensor first = tensors.getFirst();
        Shape whole = first.shape().with(dim, sum);
        long at = 0;
        List<List<Rearrangement>> moves = new ArrayList<>();
        for (RenamedTensor tensor : tensors) {
            moves.add(tensor.laid(whole, dim, at).moves());
            at += tensor.shape().dim(dim);
        }
        toMiddle = moves;
        return new RenamedTensor(whole, first.real().with(dim, sum), first.origins(), List.of());
    }

    /// All that one name on the left stands for, as [Renames] has put them there.
    private boolean stack() {
        RenamedTensor first = tensors.getFirst();
        for (RenamedTensor tensor : tensors) {
            if (!tensor.shape().equals(first.shape()) || !tensor.real().equals(first.real())) {
                throw new ImpossibleLayoutException(
                        "a stack of %s and %s".formatted(first.shape(), tensor.shape()),
                        "tensors of one shape");
            }
        }
        tensors = tensors.stream().map(RenamedTensor::counted).toList();
        tensors = List.of(laid(0, tensors.size()));
        parts = List.of();
        return true;
    }

    /// In the order in which [Stacks] puts the names on the right.
    private boolean unstack(RenameStep.Unstack step) {
        long count = numbers.value(step.count()).orElseThrow(UnknownNumber::new);
        List<RenamedTensor> after = new ArrayList<>();
        for (RenamedTensor tensor : tensors) {
            if (tensor.shape().rank() == 0 || tensor.shape().dim(0) != count) {
                throw new ImpossibleLayoutException(
                        "%d tensors of one %s".formatted(count, tensor.shape()),
                        "a first dimension of as many");
            }
            for (long at = 0; at < count; at++) {
                after.add(tensor.uncounted(at));
            }
        }
        tensors = after;
        parts = List.of();
        return true;
    }
}
