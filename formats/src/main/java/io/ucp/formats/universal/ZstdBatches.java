package io.ucp.formats.universal;

import com.github.luben.zstd.ZstdCompressCtx;

import io.ucp.io.WindowAssembler;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/// Compresses a state file window by window. The header is windows of its own, unchanged; then
/// every record batch is one: its message, and its values as Arrow's buffer compression has them
/// (the number of raw bytes as a little-endian i64, then [ZstdFrames]; or -1, then the raw bytes
/// where frames would be no smaller).
final class ZstdBatches implements WindowAssembler {
    private static final int HEADER_WINDOW = 8 << 20;
    private static final int RAW_LENGTH = 8;

    private final StateFile file;
    private final int headerWindows;
    private final int level;
    private final List<Long> cuts;

    /// Bytes of a batch's message: the same for all.
    private final int messageSize;

    ZstdBatches(StateFile file, int headerSize, int level) {
        this.file = file;
        this.level = level;
        this.messageSize = ArrowFraming.batch(0, 0, true).length;
        List<Long> ends = new ArrayList<>();
        for (long end = HEADER_WINDOW; end < headerSize; end += HEADER_WINDOW) {
            ends.add(end);
        }
        ends.add((long) headerSize);
        this.headerWindows = ends.size();
        long at = headerSize;
        for (StateFile.Tensor tensor : file.tensors()) {
            long count = tensor.facts().shape().count();
            for (int b = 0; b < tensor.batches(); b++) {
                long rows = Math.min(file.rows(), count - b * file.rows());
                at = Math.addExact(at, rows * file.dtype().width());
                ends.add(at);
            }
        }
        this.cuts = List.copyOf(ends);
    }

    @Override
    public List<Long> cuts() {
        return cuts;
    }

    @Override
    public Encoder encoder() {
        return new Compressing();
    }

    /// With one buffer that grows to what the largest window needs.
    private final class Compressing implements Encoder {
        private final ZstdCompressCtx context =
                new ZstdCompressCtx().setLevel(level).setChecksum(true);
        private ByteBuffer out = ByteBuffer.allocateDirect(0);

        @Override
        public ByteBuffer encode(int window, ByteBuffer raw) {
            int size = raw.remaining();
            if (window < headerWindows) {
                return room(size).put(raw.duplicate()).flip();
            }
            long rows = size / file.dtype().width();
            if (size == 0) {
                return ByteBuffer.wrap(ArrowFraming.batch(rows, 0, true));
            }
            int values = messageSize + RAW_LENGTH;
            long most = values + ArrowFraming.padded(ZstdFrames.bound(size));
            ByteBuffer encoded = room(Math.toIntExact(most)).position(values);
            ZstdFrames.compress(context, direct(raw), encoded);
            int frames = encoded.position() - values;
            boolean smaller = frames < size;
            if (!smaller) {
                encoded.put(values, raw, raw.position(), size);
            }
            int stored = RAW_LENGTH + (smaller ? frames : size);
            encoded.put(0, ArrowFraming.batch(rows, stored, true))
                    .putLong(messageSize, smaller ? size : -1);
            int end = Math.toIntExact(messageSize + ArrowFraming.padded(stored));
            for (int at = messageSize + stored; at < end; at++) {
                encoded.put(at, (byte) 0);
            }
            return encoded.position(0).limit(end);
        }

        private ByteBuffer room(int size) {
            if (out.capacity() < size) {
                out = ByteBuffer.allocateDirect(size);
            }
            return out.clear().order(ByteOrder.LITTLE_ENDIAN);
        }

        private static ByteBuffer direct(ByteBuffer raw) {
            return raw.isDirect()
                    ? raw.duplicate()
                    : ByteBuffer.allocateDirect(raw.remaining()).put(raw.duplicate()).flip();
        }

        @Override
        public void close() {
            context.close();
        }
    }

    @Override
    public boolean decode(int window, ByteBuffer encoded, ByteBuffer raw) {
        int size = raw.remaining();
        int before =
                window < headerWindows ? 0 : size == 0 ? messageSize : messageSize + RAW_LENGTH;
        if (encoded.remaining() < before) {
            return false;
        }
        ByteBuffer values = encoded.slice(before, encoded.remaining() - before);
        boolean compressed =
                before > messageSize
                        && encoded.order(ByteOrder.LITTLE_ENDIAN).getLong(messageSize) != -1;
        if (!compressed) {
            if (values.remaining() < size) {
                return false;
            }
            raw.put(values.limit(size));
            return true;
        }
        try {
            ZstdFrames.decompress(values, raw);
            return true;
        } catch (ZstdFrames.DamagedException e) {
            return false;
        }
    }

    @Override
    public ByteBuffer epilogue(long[] encodedSizes) {
        long at = 0;
        for (int w = 0; w < headerWindows; w++) {
            at = Math.addExact(at, encodedSizes[w]);
        }
        ArrowFraming.Place[] batches = new ArrowFraming.Place[cuts.size() - headerWindows];
        for (int b = 0; b < batches.length; b++) {
            long size = encodedSizes[headerWindows + b];
            batches[b] = new ArrowFraming.Place(at, messageSize, size - messageSize);
            at = Math.addExact(at, size);
        }
        return ByteBuffer.wrap(ArrowFraming.end(file.dtype(), file.index(), batches));
    }
}
