package io.ucp.convert;

/// What to do with what a run that was cut off left of this output.
public enum Leftover {
    /// Begin only where there is none.
    REFUSE,
    /// Go on with it, or begin where there is none.
    RESUME,
    /// Remove it and begin.
    RESTART
}
