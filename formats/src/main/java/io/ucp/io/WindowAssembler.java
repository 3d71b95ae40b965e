package io.ucp.io;

import java.nio.ByteBuffer;
import java.util.List;

/// Turns the uncompressed view of a file into its bytes, window by window: window `i` is `[cuts[i -
/// 1], cuts[i])` of the view. The executor fills windows in any order and on any thread, and writes
/// what they become in order.
public interface WindowAssembler {
    /// Ends of the windows, ascending, the last being the view's size; no window is larger than 16
    /// MiB.
    List<Long> cuts();

    /// What one worker encodes windows with.
    Encoder encoder();

    /// The window's bytes again, from what [Encoder#encode] made of them.
    ///
    /// @param raw filled from position to limit
    /// @return whether `encoded` is such a window
    boolean decode(int window, ByteBuffer encoded, ByteBuffer raw);

    /// Bytes that follow the last window, given the size on disk of every window.
    ByteBuffer epilogue(long[] encodedSizes);

    /// Encodes one window after another; owned by one thread at a time. What a window becomes
    /// depends on nothing but the window.
    @FunctionalInterface
    interface Encoder extends AutoCloseable {
        /// What the window becomes on disk; good until the next call.
        ///
        /// @param raw the window's bytes, position to limit
        ByteBuffer encode(int window, ByteBuffer raw);

        @Override
        default void close() {}
    }
}
