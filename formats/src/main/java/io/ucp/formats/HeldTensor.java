package io.ucp.formats;

import io.ucp.tensor.Shape;

/// A rank's shard of one state of one parameter (or the whole of it), under the name it has in the
/// file, where it is a tensor of its own, or several that hold a stretch of it each.
///
/// @param name as on disk, nested keys joined with `.`; names numbered per stage or per expert rank
///   stay so: giving them their global number is the spec's
/// @param state `weight` for the model's own copy, else the optimizer's name (`fp32`, `exp_avg`,
///   ..)
/// @param shape of the shard
/// @param from the shard's element that the tensor begins with
public record HeldTensor(
        String name, String state, Coordinate at, TensorEntry tensor, Shape shape, long from) {
    /// All of the shard.
    public HeldTensor(String name, String state, Coordinate at, TensorEntry tensor) {
        this(name, state, at, tensor, tensor.shape(), 0);
    }

    /// One past the shard's last element that the tensor holds.
    public long to() {
        return Math.addExact(from, tensor.shape().count());
    }
}
