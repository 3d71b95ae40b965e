package io.ucp.io.overlay;

import io.ucp.io.ByteReader;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.NonWritableChannelException;
import java.nio.channels.ReadableByteChannel;
import java.nio.channels.WritableByteChannel;

/// A channel over a [ByteReader]; closing it closes the reader.
final class SourceChannel extends FileChannel {
    private static final int STEP = 1 << 16;

    private final ByteReader reader;
    private final long size;
    private long position;

    SourceChannel(ByteReader reader, long size) {
        this.reader = reader;
        this.size = size;
    }

    @Override
    public int read(ByteBuffer into, long from) throws IOException {
        if (from < 0) {
            throw new IllegalArgumentException("position " + from);
        }
        if (!isOpen()) {
            throw new ClosedChannelException();
        }
        if (from >= size) {
            return -1;
        }
        int count = (int) Math.min(into.remaining(), size - from);
        ByteBuffer part = into.slice(into.position(), count);
        reader.read(from, part);
        into.position(into.position() + count);
        return count;
    }

    @Override
    public synchronized int read(ByteBuffer into) throws IOException {
        int count = read(into, position);
        position += Math.max(0, count);
        return count;
    }

    @Override
    public long read(ByteBuffer[] into, int offset, int length) throws IOException {
        long sum = 0;
        for (int i = offset; i < offset + length; i++) {
            int count = read(into[i]);
            if (count < 0) {
                return sum == 0 ? -1 : sum;
            }
            sum += count;
        }
        return sum;
    }

    @Override
    public synchronized long position() {
        return position;
    }

    @Override
    public synchronized FileChannel position(long changed) {
        if (changed < 0) {
            throw new IllegalArgumentException("position " + changed);
        }
        position = changed;
        return this;
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public long transferTo(long from, long count, WritableByteChannel target) throws IOException {
        ByteBuffer step = ByteBuffer.allocate((int) Math.min(STEP, Math.max(0, count)));
        long done = 0;
        while (done < count) {
            step.clear().limit((int) Math.min(step.capacity(), count - done));
            if (read(step, from + done) < 0) {
                break;
            }
            step.flip();
            while (step.hasRemaining()) {
                done += target.write(step);
            }
        }
        return done;
    }

    @Override
    protected void implCloseChannel() throws IOException {
        reader.close();
    }

    @Override
    public void force(boolean metadata) {}

    @Override
    public int write(ByteBuffer from) {
        throw new NonWritableChannelException();
    }

    @Override
    public int write(ByteBuffer from, long at) {
        throw new NonWritableChannelException();
    }

    @Override
    public long write(ByteBuffer[] from, int offset, int length) {
        throw new NonWritableChannelException();
    }

    @Override
    public FileChannel truncate(long changed) {
        throw new NonWritableChannelException();
    }

    @Override
    public long transferFrom(ReadableByteChannel source, long at, long count) {
        throw new NonWritableChannelException();
    }

    @Override
    public MappedByteBuffer map(MapMode mode, long at, long count) {
        throw new UnsupportedOperationException("what is decoded cannot be mapped");
    }

    @Override
    public FileLock lock(long at, long count, boolean shared) {
        throw new UnsupportedOperationException();
    }

    @Override
    public FileLock tryLock(long at, long count, boolean shared) {
        throw new UnsupportedOperationException();
    }
}
