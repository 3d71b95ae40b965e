package io.ucp.formats.universal;

import io.ucp.io.ByteReader;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/// Reads the raw record batches of a [StateFileView] as one run of bytes. Closes the channel.
final class BatchReader implements ByteReader {
    private final StateFileView view;
    private final FileChannel channel;

    BatchReader(StateFileView view, FileChannel channel) {
        this.view = view;
        this.channel = channel;
    }

    @Override
    public void read(long offset, ByteBuffer into) throws IOException {
        if (offset < 0 || offset > view.size() - into.remaining()) {
            throw Channels.pastEnd(view.path(), offset, into.remaining(), view.size());
        }
        long at = offset;
        int limit = into.limit();
        while (into.hasRemaining()) {
            int batch = view.batchAt(at);
            long skipped = at - view.starts[batch];
            int n = (int) Math.min(into.remaining(), view.rawSize(batch) - skipped);
            into.limit(into.position() + n);
            Channels.read(channel, view.path(), view.bodies[batch] + skipped, into);
            into.limit(limit);
            at += n;
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
