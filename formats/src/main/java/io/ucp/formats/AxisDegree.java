package io.ucp.formats;

/// A named axis of the job that wrote a checkpoint, and how many ranks it has. Standard names:
/// `pp`, `dp`, `tp`, `ep`, `edp` (data parallel among the holders of the same experts), `cp`.
public record AxisDegree(String axis, int degree) {}
