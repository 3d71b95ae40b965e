package io.ucp.layout;

import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.LongPredicate;

/// A box by the dimensions of a shape: each is one or more factors of the box's grid, outermost
/// first; none where its extent is 1.
///
/// @param localOffset local position of the first element
record Factored(List<List<Factor>> dims, long localOffset) {
    /// @param grid elements of the factor
    /// @param stride in local positions
    /// @param unit elements of the dimension that a step along the factor is
    /// @param skipped local positions before its start, on the way to another factor
    record Factor(long grid, long start, long extent, long stride, long unit, long skipped) {}

    static List<Factored> of(Piece piece, Shape shape) {
        if (piece.count() == 0) {
            return List.of();
        }
        try {
            long[] grid = Piece.commonGrid(piece.grid(), Piece.whole(shape).grid());
            return piece.refined(grid).stream().map(p -> of(p, grid, shape)).toList();
        } catch (IllegalArgumentException e) {
            throw new ImpossibleLayoutException(
                    "a rank's part %s of a tensor %s".formatted(piece, shape),
                    "one whose dimensions nest with those of the tensor");
        }
    }

    private static Factored of(Piece piece, long[] grid, Shape shape) {
        List<List<Factor>> dims = new ArrayList<>();
        int at = 0;
        for (int d = 0; d < shape.rank(); d++) {
            List<Factor> factors = new ArrayList<>();
            long unit = shape.dim(d);
            while (unit > 1) {
                unit /= grid[at];
                factors.add(
                        new Factor(
                                grid[at],
                                piece.start()[at],
                                piece.extent()[at],
                                piece.localStride()[at],
                                unit,
                                0));
                at++;
            }
            dims.add(factors);
        }
        return new Factored(dims, piece.localOffset());
    }

    Factored permuted(List<Integer> order) {
        return new Factored(order.stream().map(dims::get).toList(), localOffset);
    }

    /// With another outermost factor of a dimension.
    ///
    /// @param extent of the dimension
    /// @param change of its outermost factor; nothing where nothing is left
    /// @param fits whether inner factors of as many elements stay whole; else they are taken apart
    List<Factored> changed(
            int dim, long extent, Function<Factor, Optional<Factor>> change, LongPredicate fits) {
        List<Factor> factors = dims.get(dim);
        if (factors.isEmpty()) {
            factors = List.of(new Factor(1, 0, 1, 0, 1, 0));
        }
        List<Factored> out = new ArrayList<>();
        boolean whole = fits.test(factors.getFirst().unit());
        List<List<Factor>> choices = whole ? List.of(factors) : intervals(factors, 0, extent, 0, 0);
        for (List<Factor> choice : choices) {
            Factor outermost = choice.getFirst();
            Optional<Factor> changed = change.apply(outermost);
            if (changed.isPresent()) {
                List<Factor> own = new ArrayList<>(choice);
                own.set(0, changed.get());
                List<List<Factor>> all = new ArrayList<>(dims);
                all.set(dim, own);
                long moved = outermost.skipped() + changed.get().skipped();
                out.add(new Factored(all, localOffset + moved));
            }
        }
        return out;
    }

    /// The runs of a dimension that factors come to, each as one factor.
    private static List<List<Factor>> intervals(
            List<Factor> factors, int level, long extent, long start, long skipped) {
        Factor f = factors.get(level);
        List<List<Factor>> out = new ArrayList<>();
        if (level == factors.size() - 1) {
            Factor run = new Factor(extent, start + f.start, f.extent, f.stride, 1, skipped);
            out.add(List.of(run));
            return out;
        }
        for (long k = 0; k < f.extent; k++) {
            out.addAll(
                    intervals(
                            factors,
                            level + 1,
                            extent,
                            start + (f.start + k) * f.unit,
                            skipped + k * f.stride));
        }
        return out;
    }

    Piece piece() {
        List<Factor> all = dims.stream().flatMap(List::stream).toList();
        return Piece.of(
                all.stream().mapToLong(Factor::grid).toArray(),
                all.stream().mapToLong(Factor::start).toArray(),
                all.stream().mapToLong(Factor::extent).toArray(),
                localOffset,
                all.stream().mapToLong(Factor::stride).toArray());
    }
}
