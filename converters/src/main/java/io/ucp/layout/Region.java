package io.ucp.layout;

import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/// What a rank holds of a parameter: along each dimension some stretches, laid end to end; the
/// elements are all their combinations. Every cut of tensor, expert and stage parallelism is of
/// this form.
///
/// @param grid the parameter's shape, or a finer or coarser factorisation of it
/// @param lines one a dimension of the local tensor, outermost first; each dimension of the grid is
///   that of exactly one line
public record Region(Shape grid, List<Line> lines) {
    public Region {
        lines = List.copyOf(lines);
    }

    /// @param dim of the grid
    /// @param stretches in local order
    /// @param parts elements of each part that the dimension was fused of, as they lie here end to
    ///   end; none where it was not
    public record Line(int dim, List<Stretch> stretches, List<Long> parts) {
        public Line {
            stretches = List.copyOf(stretches);
            parts = List.copyOf(parts);
        }

        Line(int dim, List<Stretch> stretches) {
            this(dim, stretches, List.of());
        }

        long extent() {
            return Stretch.total(stretches);
        }
    }

    /// All of a tensor.
    public static Region whole(Shape shape) {
        return new Region(
                shape,
                IntStream.range(0, shape.rank())
                        .mapToObj(d -> new Line(d, List.of(new Stretch(0, shape.dim(d)))))
                        .toList());
    }

    /// Of the local tensor.
    public Shape shape() {
        return Shape.of(lines.stream().mapToLong(Line::extent).toArray());
    }

    /// Elements along a local dimension.
    ///
    /// @throws ImpossibleLayoutException where the tensor lacks it
    public long extent(int dim) {
        if (dim < 0 || dim >= lines.size()) {
            throw new ImpossibleLayoutException(
                    "dimension %d of a tensor %s".formatted(dim, shape()),
                    lines.isEmpty()
                            ? "no dimension: it is a scalar"
                            : "0 to %d".formatted(lines.size() - 1));
        }
        return lines.get(dim).extent();
    }

    /// What lies at some positions of a local dimension.
    public Region select(int dim, List<Stretch> positions) {
        return select(dim, positions, List.of());
    }

    /// A stretch of each part of a local dimension, which then has these parts.
    public Region selectEach(int dim, List<Stretch> positions) {
        return select(dim, positions, positions.stream().map(Stretch::extent).toList());
    }

    private Region select(int dim, List<Stretch> positions, List<Long> parts) {
        extent(dim);
        Line line = lines.get(dim);
        List<Line> changed = new ArrayList<>(lines);
        changed.set(dim, new Line(line.dim, Stretch.select(line.stretches, positions), parts));
        return new Region(grid, changed);
    }

    /// Elements of each part of a local dimension.
    ///
    /// @throws ImpossibleLayoutException where it was not fused
    public List<Long> parts(int dim) {
        extent(dim);
        List<Long> parts = lines.get(dim).parts;
        if (parts.isEmpty()) {
            throw new ImpossibleLayoutException(
                    "dimension %d without parts".formatted(dim), "one that was fused and split");
        }
        return parts;
    }

    /// Local dimension `order[i]` as dimension `i`.
    ///
    /// @throws ImpossibleLayoutException where `order` is no order of the dimensions
    public Region permuted(List<Integer> order) {
        if (!order.stream()
                .sorted()
                .toList()
                .equals(IntStream.range(0, lines.size()).boxed().toList())) {
            throw new ImpossibleLayoutException(
                    "order %s".formatted(order),
                    "each of the %d dimensions once".formatted(lines.size()));
        }
        return new Region(grid, order.stream().map(lines::get).toList());
    }

    /// The local tensor under another shape of as many elements.
    ///
    /// @throws ImpossibleLayoutException where the counts differ, or an earlier cut falls inside a
    ///   dimension of the view
    public Region viewed(Shape view) {
        return Regridding.of(this, view);
    }

    /// The part of it that lies within `real`, as a region of a tensor of the shape `held`, which
    /// has the real elements too. Local positions stay what they are: what is left out is at their
    /// end.
    ///
    /// @return nothing where what is left out is not at their end
    public Optional<Region> within(Shape real, Shape held) {
        if (grid.rank() != real.rank()) {
            return Optional.empty();
        }
        List<Line> changed = new ArrayList<>();
        boolean outermost = true;
        for (Line line : lines) {
            long limit = real.dim(line.dim);
            if (grid.dim(line.dim) == limit) {
                changed.add(line);
            } else if (!outermost || !beginsWithin(line.stretches, limit)) {
                return Optional.empty();
            } else {
                List<Stretch> within = new ArrayList<>();
                for (Stretch s : line.stretches) {
                    if (s.start() < limit) {
                        within.add(new Stretch(s.start(), Math.min(s.end(), limit) - s.start()));
                    }
                }
                changed.add(new Line(line.dim, within));
            }
            outermost &= line.extent() == 1;
        }
        return Optional.of(new Region(held, changed));
    }

    /// Whether no stretch within the limit follows one that passes it.
    private static boolean beginsWithin(List<Stretch> stretches, long limit) {
        boolean passed = false;
        for (Stretch s : stretches) {
            if (passed && s.start() < limit) {
                return false;
            }
            passed |= s.end() > limit;
        }
        return true;
    }

    /// As strided boxes of the grid; they tile local positions `[0, shape().count())`, row-major.
    public List<Piece> pieces() {
        if (shape().count() == 0) {
            return List.of();
        }
        long[] localStride = shape().strides();
        List<Box> boxes = List.of(Box.empty(grid.rank()));
        for (int i = 0; i < lines.size(); i++) {
            List<Box> next = new ArrayList<>();
            for (Box box : boxes) {
                long position = 0;
                for (Stretch s : lines.get(i).stretches) {
                    next.add(
                            box.with(
                                    lines.get(i).dim,
                                    s,
                                    position * localStride[i],
                                    localStride[i]));
                    position += s.extent();
                }
            }
            boxes = next;
        }
        return boxes.stream().map(b -> b.piece(grid)).toList();
    }

    private record Box(List<Stretch> stretches, long localOffset, List<Long> localStride) {
        static Box empty(int rank) {
            return new Box(
                    Collections.nCopies(rank, new Stretch(0, 1)), 0, Collections.nCopies(rank, 0L));
        }

        Box with(int dim, Stretch stretch, long offset, long stride) {
            List<Stretch> s = new ArrayList<>(stretches);
            List<Long> strides = new ArrayList<>(localStride);
            s.set(dim, stretch);
            strides.set(dim, stride);
            return new Box(s, localOffset + offset, strides);
        }

        Piece piece(Shape grid) {
            return Piece.of(
                    grid.dims(),
                    stretches.stream().mapToLong(Stretch::start).toArray(),
                    stretches.stream().mapToLong(Stretch::extent).toArray(),
                    localOffset,
                    localStride.stream().mapToLong(Long::longValue).toArray());
        }
    }
}
