package io.ucp.convert;

/// Under which names parameters go on from their source.
public enum Names {
    /// As the target has them: those of Hugging Face or of a framework where the format is theirs,
    /// those that the renames of a spec file give where one is named, else the source's own.
    AUTO,
    /// The source's own.
    KEEP,
    /// Those of Hugging Face, by the bundled family that fits or by the spec that is named.
    HF
}
