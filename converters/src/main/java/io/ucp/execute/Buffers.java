package io.ucp.execute;

import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// A worker's memory, outside the heap and the same however large the checkpoint; the arena's owner
/// frees it. Pages that are never touched cost nothing, so the rarer buffers are simply there.
///
/// @param window what is written
/// @param against the other checkpoint's window, where two are compared
/// @param staging source bytes from which scattered elements are picked
/// @param replica a copy to compare or average
/// @param uncast the value before a cast
record Buffers(
        ByteBuffer window,
        ByteBuffer against,
        ByteBuffer staging,
        ByteBuffer replica,
        ByteBuffer uncast) {
    static Buffers in(Arena arena, int windowBytes, int bufferBytes) {
        return new Buffers(
                buffer(arena, windowBytes),
                buffer(arena, windowBytes),
                buffer(arena, bufferBytes),
                buffer(arena, bufferBytes),
                buffer(arena, bufferBytes));
    }

    private static ByteBuffer buffer(Arena arena, int bytes) {
        return arena.allocate(bytes, 4096).asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    }
}
