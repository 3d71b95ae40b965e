package io.ucp.formats.dcp;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/// The mesh that a state dict is sharded over, and how torch cuts a tensor over it: tensor
/// parallelism along one dim first, then FSDP along dim 0 of what each rank has, both by
/// `torch.chunk` (parts of `ceil(n / ranks)`, the last ones shorter or empty). Rank `dp * tp + t`.
record RankGrid(int dp, int tp) {
    /// Of a tensor that tensor parallelism does not cut.
    static final int UNCUT = -1;

    int ranks() {
        return dp * tp;
    }

    List<AxisDegree> mesh() {
        return tp == 1
                ? List.of(new AxisDegree("dp", dp))
                : List.of(new AxisDegree("dp", dp), new AxisDegree("tp", tp));
    }

    /// What each rank has.
    ///
    /// @param tpDim the dim that tensor parallelism cuts, or [#UNCUT]
    List<Chunk> chunks(Shape whole, int tpDim) {
        List<Chunk> chunks = new ArrayList<>(ranks());
        for (int rank = 0; rank < ranks(); rank++) {
            long[] start = new long[whole.rank()];
            long[] extent = whole.dims();
            if (tpDim >= 0) {
                cut(start, extent, tpDim, rank % tp, tp);
            }
            if (extent.length > 0) {
                cut(start, extent, 0, rank / tp, dp);
            }
            chunks.add(Chunk.of(start, extent));
        }
        return chunks;
    }

    private static void cut(long[] start, long[] extent, int dim, int index, int parts) {
        long size = Math.ceilDiv(extent[dim], parts);
        long from = Math.min(index * size, extent[dim]);
        start[dim] += from;
        extent[dim] = Math.min(size, extent[dim] - from);
    }

    /// The grid whose cuts the chunks of all these tensors are: the one with the fewest
    /// tensor-parallel ranks, since what FSDP alone explains needs no more. Where there is none,
    /// FSDP over all ranks.
    ///
    /// @param ranks that wrote files; more than the grid has where they are replicas of each other
    static RankGrid of(List<OfTensor> tensors, int ranks) {
        List<OfTensor> cut =
                tensors.stream().filter(tensor -> tensor.chunks().size() > 1).distinct().toList();
        if (cut.isEmpty()) {
            return new RankGrid(1, 1);
        }
        int most = cut.stream().mapToInt(tensor -> filled(boxes(tensor)).size()).max().orElse(0);
        for (int tp = 1; tp <= Math.min(ranks, most); tp++) {
            Optional<RankGrid> grid = of(cut, most, ranks / tp, tp);
            if (grid.isPresent()) {
                return grid.get();
            }
        }
        return new RankGrid(ranks, 1);
    }

    /// The one with the most data-parallel ranks.
    ///
    /// Grids that need not be tried, since names of files may say any number of ranks: with fewer
    /// ranks than a tensor has chunks; with more tensor-parallel ranks than that, as parts that no
    /// tensor is cut into are empty with fewer too; with twice as many data-parallel ranks, unless
    /// each has one row at most, and then all ranks that there may be explain it too.
    ///
    /// @param most chunks with elements that a tensor has
    /// @param ranks data-parallel ones that there may be
    private static Optional<RankGrid> of(List<OfTensor> cut, int most, int ranks, int tp) {
        RankGrid all = new RankGrid(ranks, tp);
        if (all.explainsAll(cut)) {
            return Optional.of(all);
        }
        for (long dp = Math.min(ranks, 2L * most); dp >= Math.ceilDiv(most, tp); dp--) {
            RankGrid grid = new RankGrid(Math.toIntExact(dp), tp);
            if (grid.explainsAll(cut)) {
                return Optional.of(grid);
            }
        }
        return Optional.empty();
    }

    private boolean explainsAll(List<OfTensor> cut) {
        return cut.stream().allMatch(tensor -> cutting(tensor).findAny().isPresent());
    }

    /// Whether these are the chunks that torch lists for this grid, the empty one included that it
    /// lists where some ranks have nothing.
    boolean explains(OfTensor tensor) {
        Set<Chunk> held = Set.copyOf(boxes(tensor));
        return dims(tensor.shape()).stream()
                .anyMatch(dim -> held.equals(distinct(tensor.shape(), dim, held.size())));
    }

    /// The dim that tensor parallelism cut, where that is what the chunks say.
    int tpDim(OfTensor tensor) {
        return cutting(tensor).findFirst().orElse(UNCUT);
    }

    /// Dims along which tensor parallelism would give the chunks that have elements.
    private Stream<Integer> cutting(OfTensor tensor) {
        Shape shape = tensor.shape();
        if (shape.count() == 0) {
            return dims(shape).stream();
        }
        Set<Chunk> held = filled(boxes(tensor));
        return dims(shape).stream()
                .filter(dim -> count(shape, dim) == held.size())
                .filter(dim -> held.equals(filled(distinct(shape, dim, Integer.MAX_VALUE))));
    }

    /// How many of [#chunks] have elements.
    ///
    /// @param whole a shape with elements
    private long count(Shape whole, int tpDim) {
        long rows = whole.rank() == 0 ? 1 : whole.dim(0);
        if (tpDim == UNCUT) {
            return parts(rows, dp);
        }
        if (tpDim > 0) {
            return parts(whole.dim(tpDim), tp) * parts(rows, dp);
        }
        long size = Math.ceilDiv(rows, tp);
        return rows / size * parts(size, dp) + parts(rows % size, dp);
    }

    private static long parts(long extent, int ranks) {
        return extent == 0 ? 0 : Math.ceilDiv(extent, Math.ceilDiv(extent, ranks));
    }

    /// [#chunks], each once: behind the first rank that has no row the others have none at the same
    /// place.
    ///
    /// @param most where there are more, some of them do
    private Set<Chunk> distinct(Shape whole, int tpDim, int most) {
        Set<Chunk> chunks = new HashSet<>();
        for (int t = 0; t < (tpDim == UNCUT ? 1 : tp); t++) {
            long[] start = new long[whole.rank()];
            long[] extent = whole.dims();
            if (tpDim != UNCUT) {
                cut(start, extent, tpDim, t, tp);
            }
            rows(start, extent, most, chunks);
            if (chunks.size() > most || (tpDim != UNCUT && extent[tpDim] == 0)) {
                break;
            }
        }
        return chunks;
    }

    private void rows(long[] start, long[] extent, int most, Set<Chunk> into) {
        if (extent.length == 0) {
            into.add(Chunk.of(start, extent));
            return;
        }
        for (int d = 0; d < dp && into.size() <= most; d++) {
            long[] from = start.clone();
            long[] size = extent.clone();
            cut(from, size, 0, d, dp);
            into.add(Chunk.of(from, size));
            if (size[0] == 0) {
                return;
            }
        }
    }

    /// Uncut first.
    private List<Integer> dims(Shape shape) {
        List<Integer> dims = new ArrayList<>();
        dims.add(UNCUT);
        for (int d = 0; tp > 1 && d < shape.rank(); d++) {
            dims.add(d);
        }
        return dims;
    }

    private static List<Chunk> boxes(OfTensor tensor) {
        return tensor.chunks().stream().map(Stored::chunk).toList();
    }

    private static Set<Chunk> filled(Collection<Chunk> chunks) {
        Set<Chunk> filled = new HashSet<>(chunks);
        filled.removeIf(chunk -> chunk.extent().count() == 0);
        return filled;
    }
}
