package io.ucp.formats;

import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.List;

/// What a rank of the job that is to load a checkpoint holds of a parameter, before data
/// parallelism cuts it.
///
/// @param localName the parameter's name in that rank's files
/// @param at on the model-parallel axes (`pp`, `tp`, and `ep` for experts; `etp` in place of `tp`
///   where the ranks that share an expert are counted on their own)
/// @param shape local, padding included
/// @param pieces tile the local positions `[0, real)` in row-major order; they are boxes of the
///   parameter as the source holds it
/// @param real local positions from here to the end are new padding: zeros
public record RankShard(
        String localName, Coordinate at, Shape shape, List<Piece> pieces, long real) {
    public RankShard {
        pieces = List.copyOf(pieces);
        if (real < 0 || real > shape.count()) {
            throw new IllegalArgumentException(real + " real elements of " + shape);
        }
    }
}
