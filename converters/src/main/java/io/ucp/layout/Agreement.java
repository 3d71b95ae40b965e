package io.ucp.layout;

/// What replicas of a state are to each other.
public enum Agreement {
    /// They must be equal byte for byte; a difference stops the conversion.
    EQUAL,
    /// They may differ (`take first`); the first is the value and differences are counted.
    FIRST,
    /// They differ by design; the value is their mean, accumulated in fp64.
    AVERAGE
}
