package io.ucp.formats.universal;

import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.FileStamp;
import io.ucp.io.PlainFile;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Optional;

/// The tensors of a state file end to end, raw: what lies between their record batches is left out,
/// and compressed batches are decompressed as they are read. One of these for a file, compared by
/// identity, so that whoever keeps readers by their source opens it once.
final class StateFileView implements ByteSource {
    private final PlainFile file;
    private final Compression compression;

    /// That hold a batch's values.
    private final int buffers;

    /// Per batch and one more: where its raw bytes begin in this view.
    final long[] starts;

    /// Per batch: where its body begins in the file.
    final long[] bodies;

    /// Per batch and buffer: bytes in the file without padding.
    private final long[] stored;

    /// @param file as it was before anything of it was read
    StateFileView(
            PlainFile file, Manifest.ArrowFile facts, long[] starts, long[] bodies, long[] stored) {
        this.file = file;
        this.compression = facts.compression();
        this.buffers = compression.buffers(facts.dtype());
        this.starts = starts;
        this.bodies = bodies;
        this.stored = stored;
    }

    @Override
    public Path path() {
        return file.path();
    }

    @Override
    public Optional<FileStamp> stamp() {
        return file.stamp();
    }

    /// All of it.
    PlainFile file() {
        return file;
    }

    @Override
    public long size() {
        return starts[bodies.length];
    }

    @Override
    public ByteReader open() throws IOException {
        FileChannel channel = FileChannel.open(file.path(), StandardOpenOption.READ);
        return compression.compresses()
                ? new ZstdReader(this, channel)
                : new BatchReader(this, channel);
    }

    /// Whether every buffer of a batch holds one byte of each element.
    boolean shuffled() {
        return compression == Compression.SHUFFLED;
    }

    /// Bytes in the file of each buffer of a batch, without padding.
    long[] stored(int batch) {
        return Arrays.copyOfRange(stored, batch * buffers, (batch + 1) * buffers);
    }

    /// Bytes of a batch before compression.
    int rawSize(int batch) {
        return Math.toIntExact(starts[batch + 1] - starts[batch]);
    }

    /// The batch that holds the byte at `offset`.
    int batchAt(long offset) {
        int found = Arrays.binarySearch(starts, 0, bodies.length, offset);
        if (found < 0) {
            return -found - 2;
        }
        // Batches of no rows begin where their successor does: take the one that has bytes.
        int batch = found;
        while (batch + 1 < bodies.length && starts[batch + 1] == offset) {
            batch++;
        }
        return batch;
    }
}
