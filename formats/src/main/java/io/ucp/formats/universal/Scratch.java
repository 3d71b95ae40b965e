package io.ucp.formats.universal;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;

/// What taking a batch apart or putting it together needs meanwhile: there are as many of these as
/// were ever in use at once, whatever the number of files and threads.
final class Scratch implements AutoCloseable {
    /// Those not in use; guarded by itself.
    private static final Deque<Scratch> IDLE = new ArrayDeque<>();

    /// Sorts with arrays of its own.
    final BytePlanes planes = new BytePlanes();

    private ByteBuffer stored = ByteBuffer.allocateDirect(0);
    private ByteBuffer sorted = ByteBuffer.allocateDirect(0);

    private Scratch() {}

    static Scratch take() {
        synchronized (IDLE) {
            return IDLE.isEmpty() ? new Scratch() : IDLE.pop();
        }
    }

    /// For a batch as it lies in the file; direct, good until the next call.
    ByteBuffer stored(int size) {
        stored = ZstdBuffer.atLeast(stored, size);
        return stored;
    }

    /// For a batch's byte planes; direct, good until the next call.
    ByteBuffer sorted(int size) {
        sorted = ZstdBuffer.atLeast(sorted, size);
        return sorted;
    }

    /// Leaves it to others.
    @Override
    public void close() {
        synchronized (IDLE) {
            IDLE.push(this);
        }
    }
}
