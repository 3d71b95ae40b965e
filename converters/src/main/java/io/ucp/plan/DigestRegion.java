package io.ucp.plan;

import io.ucp.tensor.Transfer;

/// Elements of a target that count for the digest of a state: position `to` of the moves counts
/// elements of the real (unpadded) tensor in row-major order, `from` counts elements of the target
/// from byte `base`.
///
/// @param width bytes of an element
/// @param real elements of the whole real tensor
/// @param label index in [CopyPlan#labels]
public record DigestRegion(long base, int width, Transfer moves, long real, int label) {}
