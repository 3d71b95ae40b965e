package io.ucp.flip;

/// What came of a checkpoint that one place was damaged in.
///
/// @param what was said, in a line
record Outcome(Kind kind, String what) {
    enum Kind {
        /// `verify` finds it.
        FOUND,

        /// Every state, and everything else that is read, is as it was; what is made of it is the
        /// same.
        HARMLESS,

        /// The format keeps no checksum of it: only `verify --against` a record of the files finds
        /// it, and `convert` made other files of it.
        RECORDED,

        /// It matters, and nothing finds it.
        MISSED
    }
}
