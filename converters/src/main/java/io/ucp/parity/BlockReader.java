package io.ucp.parity;

import io.ucp.parity.Stripes.Block;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/// Reads blocks into a buffer of its own, for one thread. Keeps some files open.
final class BlockReader implements Closeable {
    private static final int OPEN = 64;
    private static final byte[] ZEROS = new byte[1 << 13];

    private final ProtectedCheckpoint checkpoint;
    private final ByteBuffer buffer;
    private final Map<Path, FileChannel> channels = new LinkedHashMap<>(16, 0.75f, true);
    private long bytesRead;

    BlockReader(ProtectedCheckpoint checkpoint) {
        this.checkpoint = checkpoint;
        this.buffer = ByteBuffer.allocateDirect(checkpoint.manifest().blockSize());
    }

    /// What a block is found to be.
    enum Finding {
        WHOLE,
        /// The file is not there.
        MISSING,
        /// The file ends before the block does.
        SHORT,
        /// The system does not give the bytes.
        UNREADABLE,
        /// The digest is another.
        DAMAGED
    }

    /// Reads a block and holds it against its digest; where it is whole, [#block] has it.
    ///
    /// @throws AccessDeniedException where this user may not read it
    Finding read(ParitySet set, Block block) throws IOException {
        try {
            if (!fill(checkpoint.path(set, block), block)) {
                return Finding.SHORT;
            }
        } catch (NoSuchFileException e) {
            return Finding.MISSING;
        } catch (ClosedByInterruptException | AccessDeniedException e) {
            throw e; // nothing is lost by that
        } catch (IOException e) {
            // A failing disk gives an error in place of bytes: they are lost, like others.
            return Finding.UNREADABLE;
        }
        return BlockDigests.of(buffer) == block.digest() ? Finding.WHOLE : Finding.DAMAGED;
    }

    /// Reads a block that has no digest yet, and gives it its own.
    ///
    /// @throws IOException where it cannot be read or the file ends before
    long digest(ParitySet set, Block block) throws IOException {
        Path path = checkpoint.path(set, block);
        if (!fill(path, block)) {
            throw Listing.changed(path);
        }
        return BlockDigests.of(buffer);
    }

    private boolean fill(Path path, Block block) throws IOException {
        FileChannel channel = channel(path);
        buffer.clear().limit(block.length());
        while (buffer.hasRemaining()) {
            int n = channel.read(buffer, block.offset() + buffer.position());
            if (n < 0) {
                return false;
            }
            bytesRead += n;
        }
        buffer.flip();
        return true;
    }

    /// The block read last.
    ByteBuffer block() {
        return buffer;
    }

    /// The block read last, with zeros behind it up to `size`.
    ByteBuffer padded(int size) {
        int length = buffer.limit();
        buffer.limit(size);
        for (int at = length; at < size; at += ZEROS.length) {
            buffer.put(at, ZEROS, 0, Math.min(ZEROS.length, size - at));
        }
        return buffer;
    }

    long bytesRead() {
        return bytesRead;
    }

    private FileChannel channel(Path path) throws IOException {
        FileChannel channel = channels.get(path);
        if (channel == null) {
            if (channels.size() >= OPEN) {
                Iterator<FileChannel> eldest = channels.values().iterator();
                FileChannel closed = eldest.next();
                eldest.remove();
                closed.close();
            }
            channel = FileChannel.open(path, StandardOpenOption.READ);
            channels.put(path, channel);
        }
        return channel;
    }

    @Override
    public void close() throws IOException {
        for (FileChannel channel : channels.values()) {
            channel.close();
        }
        channels.clear();
    }
}
