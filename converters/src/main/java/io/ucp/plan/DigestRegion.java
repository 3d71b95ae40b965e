package io.ucp.plan;

import io.ucp.tensor.Transfer;

/// Elements of a target that count for the digest of a state: positions `from` of the moves count
/// elements of the real (unpadded) tensor in row-major order, positions `to` count elements of the
/// target from byte `base`.
///
/// @param width bytes of an element
/// @param label index in [CopyPlan#labels]
public record DigestRegion(long base, int width, Transfer moves, int label) {
    /// First byte of the target that counts.
    public long offset() {
        return base + moves.to() * width;
    }

    /// One past the last.
    public long end() {
        return base + moves.toEnd() * width;
    }
}
