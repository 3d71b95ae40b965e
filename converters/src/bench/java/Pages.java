import java.lang.foreign.Arena;

/// Pages of memory, which a virtual machine may have to get of its host first.
final class Pages {
    private static final long PIECE = 1L << 28;

    private Pages() {}

    /// Touches as much free memory, so that whoever writes next gets pages that are there.
    ///
    /// A host gives a virtual machine a page when it is first touched, and may take it back while
    /// it is free. Whoever comes first pays for that, up to a second a GiB; what is measured next
    /// to it does not.
    static void touch(long bytes) {
        try (Arena arena = Arena.ofConfined()) {
            for (long left = bytes; left > 0; left -= PIECE) {
                arena.allocate(Math.min(left, PIECE)); // zeroed, so touched
            }
        }
    }
}
