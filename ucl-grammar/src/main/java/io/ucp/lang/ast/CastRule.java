package io.ucp.lang.ast;

import io.ucp.lang.diagnostic.Span;

/// `cast STATE to DTYPE`: the dtype that a state has in the target, where no `cast` of a
/// parameter's rule says otherwise. The dtype has its short name (`bf16`, not `bfloat16`).
public record CastRule(Name state, Name dtype, Span span) implements Statement {}
