package io.ucp.layout;

import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.List;

/// Dimensions `[from, to)` of one shape and `[viewFrom, viewTo)` of another that have equal
/// products, so that one view leaves them apart from all others.
record Pairing(int from, int to, int viewFrom, int viewTo) {
    /// The finest pairings of two shapes of the same count, which is not 0.
    static List<Pairing> of(Shape a, Shape b) {
        List<Pairing> pairings = new ArrayList<>();
        int i = 0;
        int j = 0;
        while (i < a.rank() && j < b.rank()) {
            int from = i;
            int viewFrom = j;
            long left = a.dim(i++);
            long right = b.dim(j++);
            while (left != right) {
                if (left < right) {
                    left *= a.dim(i++);
                } else {
                    right *= b.dim(j++);
                }
            }
            pairings.add(new Pairing(from, i, viewFrom, j));
        }
        if (i < a.rank() || j < b.rank()) {
            Pairing last = pairings.isEmpty() ? new Pairing(0, 0, 0, 0) : pairings.removeLast();
            pairings.add(new Pairing(last.from, a.rank(), last.viewFrom, b.rank()));
        }
        return pairings;
    }

    /// The local shape before a view, given what cuts left of the view.
    ///
    /// @param before the tensor's shape before the view
    /// @param view its shape after
    /// @param left what is left of `view`
    /// @return `left` itself where a cut fell across dimensions that the view merged
    static Shape folded(Shape before, Shape view, Shape left) {
        if (before.count() == 0 || before.count() != view.count()) {
            return left;
        }
        long[] dims = new long[before.rank()];
        for (Pairing p : of(before, view)) {
            long product = 1;
            for (int k = p.viewFrom; k < p.viewTo; k++) {
                product *= left.dim(k);
            }
            for (int d = p.to - 1; d > p.from; d--) {
                dims[d] = before.dim(d);
                if (product % dims[d] != 0) {
                    return left;
                }
                product /= dims[d];
            }
            if (p.from < p.to) {
                dims[p.from] = product;
            }
        }
        return Shape.of(dims);
    }
}
