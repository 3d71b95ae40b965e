package io.ucp.tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/// A strided box of a parameter and where its elements lie in some local order: the one thing that
/// every layout lowers to (as in `torch.as_strided`).
///
/// The box is `start`, `extent` in `grid`: the parameter's shape, or a finer factorisation of it
/// (`[groups, heads, head_dim, hidden]` for `[rows, hidden]`), row-major. The element at index `i`
/// of the box (relative to `start`) lies at local position `localOffset + Σ i[d] * localStride[d]`,
/// in elements. Dims of extent 1 in the grid are dropped, so a scalar has no dims.
public final class Piece {
    final long[] grid;
    final long[] start;
    final long[] extent;
    final long localOffset;
    final long[] localStride;

    /// Takes arrays that nobody changes.
    Piece(long[] grid, long[] start, long[] extent, long localOffset, long[] localStride) {
        this.grid = grid;
        this.start = start;
        this.extent = extent;
        this.localOffset = localOffset;
        this.localStride = localStride;
    }

    /// Checks that the box lies in the grid and drops grid dims of 1.
    public static Piece of(
            long[] grid, long[] start, long[] extent, long localOffset, long[] localStride) {
        int kept = 0;
        for (int d = 0; d < grid.length; d++) {
            if (start[d] < 0 || extent[d] < 0 || start[d] > grid[d] - extent[d]) {
                throw new IllegalArgumentException(
                        "box %s + %s is not in %s"
                                .formatted(
                                        Arrays.toString(start),
                                        Arrays.toString(extent),
                                        Arrays.toString(grid)));
            }
            kept += grid[d] == 1 && extent[d] == 1 ? 0 : 1;
        }
        long[] g = new long[kept];
        long[] s = new long[kept];
        long[] e = new long[kept];
        long[] l = new long[kept];
        int k = 0;
        for (int d = 0; d < grid.length; d++) {
            if (grid[d] == 1 && extent[d] == 1) {
                continue;
            }
            g[k] = grid[d];
            s[k] = start[d];
            e[k] = extent[d];
            l[k] = localStride[d];
            k++;
        }
        return new Piece(g, s, e, localOffset, l);
    }

    /// A whole tensor, lying row-major.
    public static Piece whole(Shape shape) {
        return box(shape, new long[shape.rank()], shape.dims());
    }

    /// A box of a tensor, lying row-major and dense in its own extents.
    public static Piece box(Shape shape, long[] start, long[] extent) {
        return of(shape.dims(), start, extent, 0, Shape.of(extent).strides());
    }

    /// Elements.
    public long count() {
        long n = 1;
        for (long e : extent) {
            n *= e;
        }
        return n;
    }

    public long[] grid() {
        return grid.clone();
    }

    public long[] start() {
        return start.clone();
    }

    public long[] extent() {
        return extent.clone();
    }

    /// Local position of the first element.
    public long localOffset() {
        return localOffset;
    }

    public long[] localStride() {
        return localStride.clone();
    }

    /// Row-major index in the parameter of its first element.
    public long firstIndex() {
        return index(false);
    }

    /// One past the row-major index in the parameter of its last element.
    public long endIndex() {
        return count() == 0 ? firstIndex() : index(true) + 1;
    }

    private long index(boolean last) {
        long index = 0;
        for (int d = 0; d < grid.length; d++) {
            index = index * grid[d] + start[d] + (last ? extent[d] - 1 : 0);
        }
        return index;
    }

    /// The same box, every local position moved by `by` elements.
    public Piece moved(long by) {
        return new Piece(grid, start, extent, Math.addExact(localOffset, by), localStride);
    }

    /// What of this piece lies at local positions `[from, to)`; positions then count from `from`.
    /// At most `2 * rank - 1` pieces (this is how ZeRO cuts a tensor-parallel shard).
    ///
    /// @throws IllegalArgumentException where the local order is not nested (two dims interleave)
    public List<Piece> cut(long from, long to) {
        return new PieceCut(this, from, to).pieces();
    }

    /// The elements that both hold, as moves from this piece's local positions to the other's.
    ///
    /// @throws IllegalArgumentException where the two grids factor the parameter in ways that do
    ///   not nest, or differ in the number of elements
    public List<Transfer> intersect(Piece other) {
        if (Arrays.equals(grid, other.grid)) {
            List<Transfer> out = new ArrayList<>(1);
            overlap(other, out);
            return out;
        }
        long[] common = commonGrid(grid, other.grid);
        List<Transfer> out = new ArrayList<>();
        List<Piece> theirs = other.refined(common);
        for (Piece mine : refined(common)) {
            for (Piece their : theirs) {
                mine.overlap(their, out);
            }
        }
        return out;
    }

    private void overlap(Piece other, List<Transfer> out) {
        int rank = grid.length;
        long[] e = new long[rank];
        long from = localOffset;
        long to = other.localOffset;
        for (int d = 0; d < rank; d++) {
            long begin = Math.max(start[d], other.start[d]);
            long end = Math.min(start[d] + extent[d], other.start[d] + other.extent[d]);
            if (begin >= end) {
                return;
            }
            e[d] = end - begin;
            from += (begin - start[d]) * localStride[d];
            to += (begin - other.start[d]) * other.localStride[d];
        }
        out.add(Transfer.of(e, from, localStride, to, other.localStride));
    }

    /// The coarsest grid that is a refinement of both.
    ///
    /// @throws IllegalArgumentException where there is none
    public static long[] commonGrid(long[] a, long[] b) {
        TreeSet<Long> products = new TreeSet<>();
        long total = suffixProducts(a, products);
        if (suffixProducts(b, products) != total) {
            throw new IllegalArgumentException(
                    "%s and %s differ in their number of elements"
                            .formatted(Arrays.toString(a), Arrays.toString(b)));
        }
        products.add(total);
        products.remove(1L);
        List<Long> dims = new ArrayList<>();
        long inner = 1;
        for (long p : products) {
            if (p == 0 || p % inner != 0) {
                throw new IllegalArgumentException(
                        "%s and %s do not nest".formatted(Arrays.toString(a), Arrays.toString(b)));
            }
            dims.addFirst(p / inner);
            inner = p;
        }
        return dims.stream().mapToLong(Long::longValue).toArray();
    }

    private static long suffixProducts(long[] grid, Set<Long> into) {
        long product = 1;
        for (int d = grid.length - 1; d >= 0; d--) {
            product = Math.multiplyExact(product, grid[d]);
            into.add(product);
        }
        return product;
    }

    /// The same elements as boxes of a finer grid.
    ///
    /// @throws IllegalArgumentException where `finer` does not factor this grid's dims
    public List<Piece> refined(long[] finer) {
        if (Arrays.equals(grid, finer)) {
            return List.of(this);
        }
        List<Piece> partial =
                List.of(
                        new Piece(
                                finer,
                                new long[finer.length],
                                finer,
                                localOffset,
                                new long[finer.length]));
        int f = 0;
        for (int d = 0; d < grid.length; d++) {
            int first = f;
            long product = 1;
            while (f < finer.length && product < grid[d]) {
                product *= finer[f++];
            }
            if (product != grid[d]) {
                throw new IllegalArgumentException(
                        "%s does not refine %s"
                                .formatted(Arrays.toString(finer), Arrays.toString(grid)));
            }
            long[] factors = Arrays.copyOfRange(finer, first, f);
            List<Piece> boxes = whole(Shape.of(factors)).cut(start[d], start[d] + extent[d]);
            List<Piece> next = new ArrayList<>(partial.size() * boxes.size());
            for (Piece p : partial) {
                for (Piece box : boxes) {
                    next.add(p.withDims(first, box, localStride[d]));
                }
            }
            partial = next;
        }
        return partial;
    }

    private Piece withDims(int first, Piece box, long stride) {
        long[] s = start.clone();
        long[] e = extent.clone();
        long[] l = localStride.clone();
        for (int k = 0; k < box.extent.length; k++) {
            s[first + k] = box.start[k];
            e[first + k] = box.extent[k];
            l[first + k] = box.localStride[k] * stride;
        }
        return new Piece(grid, s, e, localOffset + box.localOffset * stride, l);
    }

    /// This piece where the local tensor, of shape `local` in row-major order so far, lies with
    /// other strides (a non-contiguous view), in elements.
    ///
    /// @throws IllegalArgumentException where a dim of the box runs across dims of `local`
    public Piece lying(Shape local, long[] strides) {
        if (Arrays.equals(local.strides(), strides)) {
            return this;
        }
        long[] dense = local.strides();
        long[] index = new long[local.rank()];
        long rest = localOffset;
        long moved = 0;
        for (int k = 0; k < index.length; k++) {
            index[k] = dense[k] == 0 ? 0 : rest / dense[k];
            rest -= index[k] * dense[k];
            moved += index[k] * strides[k];
        }
        long[] changed = new long[extent.length];
        for (int d = 0; d < extent.length; d++) {
            changed[d] = extent[d] == 1 ? 0 : across(d, local, dense, strides, index);
        }
        return new Piece(grid, start, extent, moved, changed);
    }

    private long across(int d, Shape local, long[] dense, long[] strides, long[] index) {
        for (int k = 0; k < local.rank(); k++) {
            if (dense[k] == 0 || local.dim(k) == 1 || localStride[d] % dense[k] != 0) {
                continue;
            }
            long steps = localStride[d] / dense[k];
            if (index[k] + (extent[d] - 1) * steps < local.dim(k)) {
                return steps * strides[k];
            }
        }
        throw new IllegalArgumentException(
                "%s does not follow the dims of a local tensor %s".formatted(this, local));
    }

    @Override
    public String toString() {
        return "%s+%s of %s at %d*%s"
                .formatted(
                        Arrays.toString(start),
                        Arrays.toString(extent),
                        Arrays.toString(grid),
                        localOffset,
                        Arrays.toString(localStride));
    }

    @Override
    public boolean equals(Object o) {
        return o instanceof Piece p
                && Arrays.equals(grid, p.grid)
                && Arrays.equals(start, p.start)
                && Arrays.equals(extent, p.extent)
                && localOffset == p.localOffset
                && Arrays.equals(localStride, p.localStride);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(start) * 31 + Arrays.hashCode(extent) + Long.hashCode(localOffset);
    }
}
