package io.ucp.formats.dcp;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
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
        for (int tp = 1; tp <= ranks; tp++) {
            for (int dp = ranks / tp; dp >= 1; dp--) {
                RankGrid grid = new RankGrid(dp, tp);
                if (cut.stream().allMatch(t -> grid.cutting(t).findAny().isPresent())) {
                    return grid;
                }
            }
        }
        return new RankGrid(ranks, 1);
    }

    /// Whether these are the chunks that torch lists for this grid, the empty one included that it
    /// lists where some ranks have nothing.
    boolean explains(OfTensor tensor) {
        Set<Chunk> held = Set.copyOf(boxes(tensor));
        return dims(tensor.shape()).stream()
                .anyMatch(dim -> held.equals(Set.copyOf(chunks(tensor.shape(), dim))));
    }

    /// The dim that tensor parallelism cut, where that is what the chunks say.
    int tpDim(OfTensor tensor) {
        return cutting(tensor).findFirst().orElse(UNCUT);
    }

    /// Dims along which tensor parallelism would give the chunks that have elements.
    private Stream<Integer> cutting(OfTensor tensor) {
        Set<Chunk> held = filled(boxes(tensor));
        return dims(tensor.shape()).stream()
                .filter(dim -> held.equals(filled(chunks(tensor.shape(), dim))));
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

    private static Set<Chunk> filled(List<Chunk> chunks) {
        Set<Chunk> filled = new HashSet<>(chunks);
        filled.removeIf(chunk -> chunk.extent().count() == 0);
        return filled;
    }
}
