package io.ucp.plan;

/// A plan that would write a byte twice or not at all: a defect of this program, found before
/// anything is written.
public final class BrokenPlanException extends IllegalStateException {
    BrokenPlanException(String target, long offset, String problem) {
        super("internal error: plan of %s: byte %d %s".formatted(target, offset, problem));
    }
}
