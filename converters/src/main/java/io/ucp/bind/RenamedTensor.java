package io.ucp.bind;

import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.layout.Rearrangement;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/// A tensor on its way through the steps of a rename.
///
/// @param real its shape without padding
/// @param origins of each dimension, the dimension of the parameter that it came from; one of its
///   own where several came together
/// @param moves so far
record RenamedTensor(Shape shape, Shape real, List<Integer> origins, List<Rearrangement> moves) {
    static RenamedTensor of(Shape shape, Shape real) {
        return new RenamedTensor(
                shape, real, IntStream.range(0, shape.rank()).boxed().toList(), List.of());
    }

    /// The same tensor, from which moves are counted anew.
    RenamedTensor fresh() {
        return new RenamedTensor(shape, real, origins, List.of());
    }

    RenamedTensor viewed(Shape view) {
        if (view.count() != shape.count()) {
            throw new ImpossibleLayoutException(
                    "view %s of %d elements".formatted(view, view.count()),
                    "the %d of %s".formatted(shape.count(), shape));
        }
        Grouped grouped = grouped(view);
        return new RenamedTensor(view, grouped.real, grouped.origins, moves);
    }

    private record Grouped(List<Integer> origins, Shape real) {}

    /// Dimensions of equal products belong together. A padded one has to stay one by itself: its
    /// rows past the real ones are those of no row of a view.
    private Grouped grouped(Shape view) {
        List<Integer> out = new ArrayList<>();
        List<Long> reals = new ArrayList<>();
        int own = ownOrigin();
        int i = 0;
        int j = 0;
        while (j < view.rank()) {
            int from = i;
            int viewFrom = j;
            long left = i < shape.rank() ? shape.dim(i++) : 1;
            long right = view.dim(j++);
            while (left != right && (i < shape.rank() || j < view.rank())) {
                if ((left < right && i < shape.rank()) || j == view.rank()) {
                    left *= shape.dim(i++);
                } else {
                    right *= view.dim(j++);
                }
            }
            int origin = from < shape.rank() ? origins.get(from) : own;
            for (int d = from + 1; d < i; d++) {
                if (shape.dim(d) != 1 && !origins.get(d).equals(origin)) {
                    origin = own;
                }
            }
            own--;
            boolean alone = i - from == 1 && j - viewFrom == 1;
            for (int d = from; d < i && !alone; d++) {
                unpadded("a view", d);
            }
            for (int d = viewFrom; d < j; d++) {
                out.add(origin);
                reals.add(alone ? real.dim(from) : view.dim(d));
            }
        }
        return new Grouped(out, shape(reals));
    }

    /// With a first dimension of one, which came from none of the parameter's.
    RenamedTensor counted() {
        List<Integer> counted = new ArrayList<>(origins);
        counted.addFirst(ownOrigin());
        return new RenamedTensor(one(shape), one(real), counted, moves);
    }

    /// An origin that no dimension has; those below it are none's either.
    private int ownOrigin() {
        return origins.stream().mapToInt(Integer::intValue).reduce(0, Math::min) - 1;
    }

    /// Position `at` of the first dimension, without that dimension.
    RenamedTensor uncounted(long at) {
        RenamedTensor one = cut(0, at, 1);
        return new RenamedTensor(
                rest(one.shape), rest(one.real), origins.subList(1, origins.size()), one.moves);
    }

    private static Shape rest(Shape shape) {
        return Shape.of(Arrays.copyOfRange(shape.dims(), 1, shape.rank()));
    }

    private static Shape one(Shape shape) {
        return shape(
                LongStream.concat(LongStream.of(1), Arrays.stream(shape.dims())).boxed().toList());
    }

    RenamedTensor permuted(List<Integer> order) {
        Rearrangement move = new Rearrangement.Permuted(shape, order);
        return new RenamedTensor(
                move.after(),
                new Rearrangement.Permuted(real, order).after(),
                order.stream().map(origins::get).toList(),
                with(move));
    }

    RenamedTensor cut(int dim, long start, long extent) {
        unpadded("a split", dim);
        return after(new Rearrangement.Cut(shape, dim, start, extent), dim);
    }

    /// As a part of a larger tensor.
    RenamedTensor laid(Shape whole, int dim, long start) {
        unpadded("a join", dim);
        return after(new Rearrangement.Laid(whole, dim, start, shape.dim(dim)), dim);
    }

    private RenamedTensor after(Rearrangement move, int dim) {
        Shape after = move.after();
        return new RenamedTensor(after, real.with(dim, after.dim(dim)), origins, with(move));
    }

    private List<Rearrangement> with(Rearrangement move) {
        List<Rearrangement> all = new ArrayList<>(moves);
        all.add(move);
        return all;
    }

    private void unpadded(String step, int dim) {
        if (shape.dim(dim) != real.dim(dim)) {
            throw new ImpossibleLayoutException(
                    "%s of dimension %d of a tensor %s that is padded from %s"
                            .formatted(step, dim, shape, real),
                    "one of a dimension without padding");
        }
    }

    /// Neighbours that came from one dimension are one.
    RenamedTensor folded() {
        List<Long> dims = new ArrayList<>();
        List<Long> reals = new ArrayList<>();
        List<Integer> from = new ArrayList<>();
        for (int d = 0; d < shape.rank(); d++) {
            if (d > 0 && origins.get(d).equals(origins.get(d - 1))) {
                dims.add(dims.removeLast() * shape.dim(d));
                reals.add(reals.removeLast() * real.dim(d));
            } else {
                dims.add(shape.dim(d));
                reals.add(real.dim(d));
                from.add(origins.get(d));
            }
        }
        return new RenamedTensor(shape(dims), shape(reals), from, moves);
    }

    private static Shape shape(List<Long> dims) {
        return Shape.of(dims.stream().mapToLong(Long::longValue).toArray());
    }

    /// Where each dimension of the parameter went, of those that are still dimensions.
    Map<Integer, Integer> places() {
        Map<Integer, Integer> places = new HashMap<>();
        for (int d = 0; d < origins.size(); d++) {
            places.putIfAbsent(origins.get(d), d);
        }
        return places;
    }
}
