package io.ucp.formats.universal;

import com.github.luben.zstd.ZstdCompressCtx;

import io.ucp.io.WindowAssembler;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/// Compresses a state file window by window. The header is windows of its own, unchanged; then
/// every record batch is one: its message, and its values in a [ZstdBuffer], or in one for each
/// byte of an element.
final class ZstdBatches implements WindowAssembler {
    private static final int HEADER_WINDOW = 8 << 20;

    /// The first level of zstd 1.5.7 that weighs what a match costs against the literals that it
    /// replaces (`clevels.h`, contents of up to 256 KiB: btopt); those below take what they find.
    private static final int WEIGHING = 13;

    /// Bytes of the shortest match that levels below look for in byte planes, where a few bytes
    /// alike are mostly chance and cost more than their literals: as many as zstd takes (from level
    /// 4 on it makes 6 of them), in its smallest tables. That is smaller and faster at each of
    /// these levels, and leaves no difference in size between them (docs/performance.md).
    private static final int MATCH = 7;

    private static final int TABLE_LOG = 6;

    private final StateFile file;
    private final int headerWindows;
    private final int level;
    private final boolean shuffled;
    private final List<Long> cuts;

    /// That hold a batch's values.
    private final int buffers;

    /// Bytes of a batch's message: the same for all.
    private final int messageSize;

    ZstdBatches(StateFile file, int headerSize, int level) {
        this.file = file;
        this.level = level;
        this.shuffled = file.compression() == Compression.SHUFFLED;
        this.buffers = file.compression().buffers(file.dtype());
        this.messageSize = ArrowFraming.batch(file.compression(), 0, new long[buffers]).length;
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

    /// With a buffer that grows to what the largest window needs.
    private final class Compressing implements Encoder {
        private final ZstdCompressCtx context =
                new ZstdCompressCtx().setLevel(level).setChecksum(true);
        private ByteBuffer out = ByteBuffer.allocateDirect(0);

        Compressing() {
            if (shuffled && level < WEIGHING) {
                context.setMinMatch(MATCH).setHashLog(TABLE_LOG).setChainLog(TABLE_LOG);
            }
        }

        @Override
        public ByteBuffer encode(int window, ByteBuffer raw) {
            int size = raw.remaining();
            if (window < headerWindows) {
                out = ZstdBuffer.atLeast(out, size);
                return out.put(raw.duplicate()).flip();
            }
            if (!shuffled) {
                return batch(direct(raw));
            }
            try (Scratch scratch = Scratch.take()) {
                ByteBuffer sorted = scratch.sorted(size);
                scratch.planes.split(raw, sorted, file.dtype().width());
                return batch(sorted);
            }
        }

        /// A batch of values as they are to lie in its buffers.
        private ByteBuffer batch(ByteBuffer values) {
            int size = values.remaining();
            long rows = size / file.dtype().width();
            long[] stored = new long[buffers];
            if (size == 0) {
                return ByteBuffer.wrap(ArrowFraming.batch(file.compression(), rows, stored));
            }
            int each = size / buffers;
            int most = buffers * (ZstdBuffer.bound(each) + 8) + ArrowFraming.ALIGNMENT;
            out = ZstdBuffer.atLeast(out, messageSize + most);
            out.position(messageSize);
            for (int b = 0; b < buffers; b++) {
                pad(messageSize + ArrowFraming.offset(stored, b));
                long from = out.position();
                ZstdBuffer.write(context, values.slice(values.position() + b * each, each), out);
                stored[b] = out.position() - from;
            }
            pad(messageSize + ArrowFraming.padded(ArrowFraming.offset(stored, buffers)));
            return out.put(0, ArrowFraming.batch(file.compression(), rows, stored)).flip();
        }

        /// With zeros up to an index.
        private void pad(long to) {
            while (out.position() < to) {
                out.put((byte) 0);
            }
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
        if (window < headerWindows || size == 0) {
            int before = window < headerWindows ? 0 : messageSize;
            if (encoded.remaining() < before + size) {
                return false;
            }
            raw.put(encoded.slice(before, size));
            return true;
        }
        if (encoded.remaining() < messageSize) {
            return false;
        }
        ByteBuffer body = encoded.slice(messageSize, encoded.remaining() - messageSize);
        if (!shuffled) {
            return values(body, raw);
        }
        try (Scratch scratch = Scratch.take()) {
            ByteBuffer sorted = scratch.sorted(size);
            if (!values(body, sorted)) {
                return false;
            }
            scratch.planes.join(sorted.flip(), raw, file.dtype().width());
            raw.position(raw.limit());
            return true;
        }
    }

    /// Fills what remains of `values` from the buffers of a body; whether they hold as much.
    private boolean values(ByteBuffer body, ByteBuffer values) {
        int each = values.remaining() / buffers;
        long[] stored = new long[buffers];
        for (int b = 0; b < buffers; b++) {
            long from = ArrowFraming.offset(stored, b);
            if (from > body.limit()) {
                return false;
            }
            try {
                ZstdBuffer.read(body.position((int) from), values.slice(values.position(), each));
            } catch (ZstdFrames.DamagedException e) {
                return false;
            }
            values.position(values.position() + each);
            stored[b] = body.position() - from;
        }
        return true;
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
        return ByteBuffer.wrap(
                ArrowFraming.end(file.dtype(), file.compression(), file.index(), batches));
    }
}
