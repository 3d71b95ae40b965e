package io.ucp.execute;

import io.ucp.plan.CopyPlan;

import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// A worker's memory, outside the heap and the same however large the checkpoint; the arena's owner
/// frees it.
///
/// @param window what is written
/// @param against the other checkpoint's window, empty where none is compared
/// @param staging source bytes from which scattered elements are picked
/// @param replica a copy to compare or average
/// @param uncast the value before a cast
record Buffers(
        ByteBuffer window,
        ByteBuffer against,
        ByteBuffer staging,
        ByteBuffer replica,
        ByteBuffer uncast) {
    /// Bytes of each.
    record Sizes(int window, int against, int scratch) {
        /// @param encoding whether compressed targets are written, whose windows are given
        static Sizes of(CopyPlan plan, int bufferBytes, boolean encoding) {
            int window =
                    plan.targets().stream()
                            .mapToInt(t -> Windows.largest(t, bufferBytes, encoding))
                            .max()
                            .orElse(Windows.LEAST);
            boolean compares = plan.targets().stream().anyMatch(t -> t.against().isPresent());
            return new Sizes(window, compares ? window : 0, Math.max(bufferBytes, Windows.LEAST));
        }
    }

    static Buffers in(Arena arena, Sizes sizes) {
        return new Buffers(
                buffer(arena, sizes.window()),
                buffer(arena, sizes.against()),
                buffer(arena, sizes.scratch()),
                buffer(arena, sizes.scratch()),
                buffer(arena, sizes.scratch()));
    }

    private static ByteBuffer buffer(Arena arena, int bytes) {
        return arena.allocate(bytes, 4096).asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    }
}
