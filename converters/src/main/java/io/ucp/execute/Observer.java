package io.ucp.execute;

import io.ucp.plan.TargetPlan;

import java.nio.ByteBuffer;

/// Sees every window of a run when it is filled. Called by several workers at once.
@FunctionalInterface
public interface Observer {
    Observer NONE = (_, _, _) -> {};

    /// This one, then another.
    default Observer andThen(Observer other) {
        return (target, from, window) -> {
            see(target, from, window);
            other.see(target, from, window);
        };
    }

    /// @param from byte of the target at which the window starts
    /// @param window from its start to its limit; to be left as it is
    void see(TargetPlan target, long from, ByteBuffer window);
}
