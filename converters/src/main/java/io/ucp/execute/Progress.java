package io.ucp.execute;

/// Told how far the work is, after every window and from any worker: must return at once.
@FunctionalInterface
public interface Progress {
    Progress NONE = (_, _) -> {};

    /// @param done bytes of targets finished; may arrive out of order
    /// @param total bytes of all targets
    void at(long done, long total);
}
