package io.ucp.layout;

import java.util.Arrays;
import java.util.List;

/// How many elements of a dimension each rank of an axis holds, in the order of the axis.
public sealed interface Widths {
    /// Widths that follow from the extent and the number of ranks.
    enum Rule implements Widths {
        /// All the same.
        EVEN,
        /// `ceil(n / k)` each as far as they go, as `torch.chunk` does; late ranks may hold fewer
        /// or none.
        CEIL,
        /// The first `n mod k` ranks hold one more than the others, as `torch.tensor_split` does.
        BALANCED
    }

    /// One number a rank.
    record Listed(List<Long> widths) implements Widths {
        public Listed {
            widths = List.copyOf(widths);
        }
    }

    /// The widths of an extent over `degree` ranks; they sum to the extent.
    ///
    /// @throws ImpossibleLayoutException where there are none
    default long[] of(long extent, int degree) {
        if (this instanceof Listed(var listed)) {
            if (listed.stream().anyMatch(w -> w < 0)) {
                throw new ImpossibleLayoutException("widths " + listed, "widths of 0 or more");
            }
            long sum = Stretch.sum(listed);
            if (listed.size() != degree || sum != extent) {
                throw new ImpossibleLayoutException(
                        "widths %s, %d in all".formatted(listed, sum),
                        "%d %s that sum to %d"
                                .formatted(degree, degree == 1 ? "width" : "widths", extent));
            }
            return listed.stream().mapToLong(Long::longValue).toArray();
        }
        long[] widths = new long[degree];
        switch ((Rule) this) {
            case EVEN -> {
                if (extent % degree != 0) {
                    throw new ImpossibleLayoutException(
                            "%d does not divide by %d".formatted(extent, degree),
                            "equal widths, or 'widths [..]', 'ceil' or 'balanced'");
                }
                Arrays.fill(widths, extent / degree);
            }
            case CEIL -> {
                long each = Math.ceilDiv(extent, degree);
                for (int i = 0; i < degree; i++) {
                    widths[i] = Math.clamp(extent - i * each, 0, each);
                }
            }
            case BALANCED -> {
                for (int i = 0; i < degree; i++) {
                    widths[i] = extent / degree + (i < extent % degree ? 1 : 0);
                }
            }
        }
        return widths;
    }

    /// What the rank at `index` holds.
    default Stretch stretch(long extent, int degree, int index) {
        long[] widths = of(extent, degree);
        return new Stretch(Arrays.stream(widths, 0, index).sum(), widths[index]);
    }
}
