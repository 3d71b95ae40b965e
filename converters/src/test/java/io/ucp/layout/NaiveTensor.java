package io.ucp.layout;

import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.LongStream;

/// A small tensor in memory, cut the way a framework does: `narrow`, `cat`, `view`, `permute`.
record NaiveTensor(long[] values, Shape shape) {
    /// Every element is its own index in the parameter.
    static NaiveTensor numbered(Shape shape) {
        return new NaiveTensor(LongStream.range(0, shape.count()).toArray(), shape);
    }

    NaiveTensor narrow(int dim, long start, long extent) {
        Shape result = shape.with(dim, extent);
        long[] out = new long[(int) result.count()];
        int at = 0;
        for (long i = 0; i < shape.count(); i++) {
            long index = i / shape.strides()[dim] % shape.dim(dim);
            if (index >= start && index < start + extent) {
                out[at++] = values[(int) i];
            }
        }
        return new NaiveTensor(out, result);
    }

    static NaiveTensor cat(int dim, List<NaiveTensor> parts) {
        Shape first = parts.getFirst().shape;
        Shape result = first.with(dim, parts.stream().mapToLong(p -> p.shape.dim(dim)).sum());
        long outer = 1;
        for (int d = 0; d < dim; d++) {
            outer *= first.dim(d);
        }
        List<Long> out = new ArrayList<>();
        for (long o = 0; o < outer; o++) {
            for (NaiveTensor part : parts) {
                int n = (int) (part.shape.count() / outer);
                for (int i = 0; i < n; i++) {
                    out.add(part.values[(int) o * n + i]);
                }
            }
        }
        return new NaiveTensor(out.stream().mapToLong(Long::longValue).toArray(), result);
    }

    NaiveTensor view(Shape view) {
        return new NaiveTensor(values, view);
    }

    NaiveTensor permute(List<Integer> order) {
        Shape result = Shape.of(order.stream().mapToLong(shape::dim).toArray());
        long[] out = new long[values.length];
        for (int i = 0; i < out.length; i++) {
            int from = 0;
            for (int d = 0; d < order.size(); d++) {
                long index = i / result.strides()[d] % result.dim(d);
                from += (int) (index * shape.strides()[order.get(d)]);
            }
            out[i] = values[from];
        }
        return new NaiveTensor(out, result);
    }

    /// What a region's pieces say lies at each local position: the index in the parameter, -1 where
    /// no piece says anything.
    ///
    /// @throws IllegalStateException where two pieces say something
    static long[] laid(List<Piece> pieces, long count) {
        long[] out = new long[(int) count];
        Arrays.fill(out, -1);
        for (Piece piece : pieces) {
            long[] strides = Shape.of(piece.grid()).strides();
            Shape box = Shape.of(piece.extent());
            for (long i = 0; i < box.count(); i++) {
                long element = 0;
                long local = piece.localOffset();
                for (int d = 0; d < box.rank(); d++) {
                    long index = i / box.strides()[d] % box.dim(d);
                    element += (piece.start()[d] + index) * strides[d];
                    local += index * piece.localStride()[d];
                }
                if (out[(int) local] != -1) {
                    throw new IllegalStateException("position " + local + " is laid twice");
                }
                out[(int) local] = element;
            }
        }
        return out;
    }
}
