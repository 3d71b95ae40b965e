package io.ucp.io;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/// Bytes being put together, numbers little-endian; what a large checkpoint's files are framed by
/// comes to hundreds of megabytes, byte for byte.
public final class LittleEndianBytes {
    /// What every machine can allocate at once.
    private static final int LONGEST = Integer.MAX_VALUE - 8;

    private ByteBuffer out;

    /// @param usual bytes that will mostly do
    public LittleEndianBytes(int usual) {
        this.out = buffer(usual);
    }

    private static ByteBuffer buffer(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    private ByteBuffer room(int more) {
        if (out.remaining() < more) {
            int least = Math.addExact(out.position(), more);
            int twice = (int) Math.min(2L * out.capacity(), LONGEST);
            out = buffer(Math.max(least, twice)).put(out.flip());
        }
        return out;
    }

    public int size() {
        return out.position();
    }

    public LittleEndianBytes u1(int value) {
        room(Byte.BYTES).put((byte) value);
        return this;
    }

    public LittleEndianBytes u2(int value) {
        room(Short.BYTES).putShort((short) value);
        return this;
    }

    public LittleEndianBytes u4(long value) {
        room(Integer.BYTES).putInt((int) value);
        return this;
    }

    public LittleEndianBytes u8(long value) {
        room(Long.BYTES).putLong(value);
        return this;
    }

    public LittleEndianBytes bytes(byte[] bytes) {
        room(bytes.length).put(bytes);
        return this;
    }

    /// The same byte some times.
    public LittleEndianBytes fill(int value, int count) {
        ByteBuffer to = room(count);
        for (int i = 0; i < count; i++) {
            to.put((byte) value);
        }
        return this;
    }

    public byte[] toByteArray() {
        byte[] all = new byte[size()];
        out.get(0, all);
        return all;
    }
}
