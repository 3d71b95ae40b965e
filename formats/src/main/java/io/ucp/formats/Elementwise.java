package io.ucp.formats;

import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;

import java.util.List;

/// Elements of one state of one parameter in a local order: what a target file (or a carried
/// storage) is to hold. The pieces tile local positions `[0, count)` exactly.
///
/// @param parameter global name
/// @param state `fp32`, `exp_avg`, `weight`, ..
/// @param dtype in this place; differs from the state's own where the target casts
/// @param count elements
public record Elementwise(
        String parameter, String state, DType dtype, long count, List<Piece> pieces) {
    public Elementwise {
        pieces = List.copyOf(pieces);
    }

    /// Bytes.
    public long size() {
        return Math.multiplyExact(count, dtype.width());
    }
}
