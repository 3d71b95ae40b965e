package io.ucp.layout;

import io.ucp.layout.Factored.Factor;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/// How elements of one tensor become those of another, in a way that can be undone. A view is none:
/// a piece is the same in every shape of as many elements.
public sealed interface Rearrangement {
    Shape before();

    Shape after();

    Rearrangement inverse();

    /// The elements of a piece of the tensor before, as pieces of the one after; their local
    /// positions stay. Those that the other tensor lacks are left out.
    ///
    /// @throws ImpossibleLayoutException where the piece's grid and the dimensions do not nest
    default List<Piece> carry(Piece piece) {
        List<Piece> out = new ArrayList<>();
        for (Factored box : Factored.of(piece, before())) {
            for (Factored moved : carry(box)) {
                out.add(moved.piece());
            }
        }
        return out;
    }

    private List<Factored> carry(Factored box) {
        return switch (this) {
            case Permuted permuted -> List.of(box.permuted(permuted.order()));
            case Cut(var whole, int dim, long start, long extent) ->
                    box.changed(
                            dim,
                            whole.dim(dim),
                            f -> cut(f, start, extent),
                            inner -> start % inner == 0 && extent % inner == 0);
            case Laid(var whole, int dim, long start, long extent) ->
                    box.changed(
                            dim,
                            extent,
                            f ->
                                    Optional.of(
                                            new Factor(
                                                    whole.dim(dim) / f.unit(),
                                                    f.start() + start / f.unit(),
                                                    f.extent(),
                                                    f.stride(),
                                                    f.unit(),
                                                    0)),
                            inner -> start % inner == 0 && whole.dim(dim) % inner == 0);
        };
    }

    private static Optional<Factor> cut(Factor f, long start, long extent) {
        long first = start / f.unit();
        long count = extent / f.unit();
        long low = Math.max(f.start(), first);
        long high = Math.min(f.start() + f.extent(), first + count);
        return low < high
                ? Optional.of(
                        new Factor(
                                count,
                                low - first,
                                high - low,
                                f.stride(),
                                f.unit(),
                                (low - f.start()) * f.stride()))
                : Optional.empty();
    }

    /// Dimension `i` of the tensor after is dimension `order[i]` of the one before.
    record Permuted(Shape before, List<Integer> order) implements Rearrangement {
        /// @throws ImpossibleLayoutException where `order` is no order of the dimensions
        public Permuted {
            order = List.copyOf(order);
            List<Integer> sorted = new ArrayList<>(order);
            Collections.sort(sorted);
            for (int d = 0; d < Math.max(sorted.size(), before.rank()); d++) {
                if (d >= sorted.size() || sorted.get(d) != d || d >= before.rank()) {
                    throw new ImpossibleLayoutException(
                            "order %s of a tensor %s".formatted(order, before),
                            "each of its %d dimensions once".formatted(before.rank()));
                }
            }
        }

        @Override
        public Shape after() {
            return Shape.of(order.stream().mapToLong(before::dim).toArray());
        }

        @Override
        public Rearrangement inverse() {
            List<Integer> back = new ArrayList<>(order);
            for (int i = 0; i < order.size(); i++) {
                back.set(order.get(i), i);
            }
            return new Permuted(after(), back);
        }
    }

    /// Positions `[start, start + extent)` of a dimension alone.
    record Cut(Shape before, int dim, long start, long extent) implements Rearrangement {
        /// @throws ImpossibleLayoutException where the tensor has no such positions
        public Cut {
            Laid.check(before, dim, start, extent);
        }

        @Override
        public Shape after() {
            return before.with(dim, extent);
        }

        @Override
        public Rearrangement inverse() {
            return new Laid(before, dim, start, extent);
        }
    }

    /// As positions `[start, start + extent)` of a dimension of a larger tensor.
    record Laid(Shape after, int dim, long start, long extent) implements Rearrangement {
        /// @throws ImpossibleLayoutException where the larger one has no such positions
        public Laid {
            check(after, dim, start, extent);
        }

        private static void check(Shape whole, int dim, long start, long extent) {
            if (dim >= whole.rank()) {
                throw new ImpossibleLayoutException(
                        "dimension %d of a tensor %s".formatted(dim, whole),
                        whole.rank() == 0
                                ? "no dimension: it is a scalar"
                                : "0 to %d".formatted(whole.rank() - 1));
            }
            if (start < 0 || extent < 0 || start > whole.dim(dim) - extent) {
                throw new ImpossibleLayoutException(
                        "positions %d to %d of dimension %d of a tensor %s"
                                .formatted(start, start + extent, dim, whole),
                        "0 to %d".formatted(whole.dim(dim)));
            }
        }

        @Override
        public Shape before() {
            return after.with(dim, extent);
        }

        @Override
        public Rearrangement inverse() {
            return new Cut(after, dim, start, extent);
        }
    }
}
