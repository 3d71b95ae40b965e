package io.ucp.bind;

import io.ucp.formats.Coordinate;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.util.List;

/// What the ranks at one coordinate hold of a parameter, before data parallelism cuts it.
///
/// @param localName the parameter's name in that rank's files
/// @param at on the model-parallel axes (`pp`, `tp`, `ep`, ..), every one of the mesh that is not a
///   data-parallel axis
/// @param shape local
/// @param pieces tile the local positions `[0, shape.count())` in row-major order
/// @param copy number of the replica that this shard belongs to; the shards of one copy cover the
///   parameter exactly once
public record Shard(String localName, Coordinate at, Shape shape, List<Piece> pieces, int copy) {
    public Shard {
        pieces = List.copyOf(pieces);
    }
}
