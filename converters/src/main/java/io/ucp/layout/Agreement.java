package io.ucp.layout;

/// What the copies of a state are to each other, as a whole; [Replica] says it of each.
public enum Agreement {
    /// They must be equal byte for byte; a difference stops the conversion.
    EQUAL,
    /// Some may differ (`take first`); the first is the value and differences are counted.
    FIRST,
    /// The value is the mean of some that differ by design, accumulated in fp64.
    AVERAGE
}
