package io.ucp.formats;

/// A rank's shard of one state of one parameter (or the whole of it), under the name it has in the
/// file, where it is a tensor of its own.
///
/// @param name as on disk, nested keys joined with `.`; names numbered per stage or per expert rank
///   stay so: giving them their global number is the spec's
/// @param state `weight` for the model's own copy, else the optimizer's name (`fp32`, `exp_avg`,
///   ..)
public record HeldTensor(String name, String state, Coordinate at, TensorEntry tensor) {}
