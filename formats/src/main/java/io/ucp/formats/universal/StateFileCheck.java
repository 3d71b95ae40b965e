package io.ucp.formats.universal;

import io.ucp.formats.universal.StateFileFaults.Region;
import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;
import io.ucp.tensor.Shape;

import org.apache.arrow.flatbuf.Block;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.Schema;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;

/// Reads everything of a state file but its tensors, and holds it against the manifest: afterwards
/// every byte outside the bodies has been checked, and every place in the file is proven to lie in
/// it.
final class StateFileCheck {
    private static final int LONGEST_METADATA = 1 << 28;
    private static final int LONGEST_BATCH_METADATA = 1 << 16;

    private final PlainFile source;
    private final Path path;
    private final Manifest.ArrowFile file;
    private final FileChannel channel;
    private final long size;
    private final StateFileFaults faults;
    private final SchemaCheck schema;
    private final BatchCheck batch;

    private StateFileCheck(PlainFile source, Manifest.ArrowFile file, FileChannel channel)
            throws IOException {
        this.source = source;
        this.path = source.path();
        this.file = file;
        this.channel = channel;
        this.size = channel.size();
        this.faults = new StateFileFaults(path);
        this.schema = new SchemaCheck(file, faults);
        this.batch = new BatchCheck(file, faults);
    }

    /// What the manifest says of a tensor in this file.
    record Tensor(String name, Shape shape, Manifest.Place place) {}

    /// @param tensors all of the file
    static StateFileView check(Path folder, Manifest.ArrowFile file, List<Tensor> tensors)
            throws IOException {
        PlainFile source = PlainFile.of(folder.resolve(file.path()));
        try (FileChannel channel = FileChannel.open(source.path(), StandardOpenOption.READ)) {
            return new StateFileCheck(source, file, channel).check(tensors);
        }
    }

    private StateFileView check(List<Tensor> tensors) throws IOException {
        if (file.size() >= 0 && file.size() != size) {
            throw faults.wrong(-1, "%d bytes".formatted(size), "%d".formatted(file.size()));
        }
        long[] counts = counts(tensors);
        Region footerRegion = footer();
        byte[] footer = sealed(footerRegion);
        long end = footerRegion.offset() - 8;
        byte[] magic = Arrays.copyOf(ArrowFraming.magic(), 8);
        faults.same(0, magic, Channels.read(channel, path, 0, 8), "an Arrow file to begin so");
        Region header = message(8, end);
        faults.same(
                end,
                new byte[] {-1, -1, -1, -1, 0, 0, 0, 0},
                Channels.read(channel, path, end, 8),
                "the end of the stream");
        Block[] blocks;
        try {
            Message message =
                    Message.getRootAsMessage(StateFileFaults.flatbuffer(header, sealed(header)));
            faults.require(
                    header, message.headerType() == MessageHeader.Schema, "no schema message");
            schema.require(header, (Schema) message.header(new Schema()), tensors);
            Footer read = Footer.getRootAsFooter(ByteBuffer.wrap(footer));
            schema.require(footerRegion, read.schema(), tensors);
            faults.require(footerRegion, read.dictionariesLength() == 0, "dictionaries");
            faults.require(
                    footerRegion,
                    read.recordBatchesLength() == file.batches(),
                    "%d record batches".formatted(read.recordBatchesLength()));
            blocks = new Block[file.batches()];
            for (int b = 0; b < blocks.length; b++) {
                blocks[b] = read.recordBatches(b);
            }
        } catch (RuntimeException e) {
            throw faults.damaged(footerRegion, e);
        }
        return batches(header.offset() + header.size(), end, blocks, counts);
    }

    /// The footer without what follows it.
    private Region footer() throws IOException {
        byte[] magic = ArrowFraming.magic();
        int trailer = 4 + magic.length;
        if (size < 64 + trailer) {
            throw faults.wrong(size, "the file ends here", "the footer of an Arrow file");
        }
        byte[] tail = Channels.read(channel, path, size - trailer, trailer);
        faults.same(
                size - magic.length,
                magic,
                Arrays.copyOfRange(tail, 4, trailer),
                "an Arrow file to end so");
        int length = ArrowFraming.little(tail).getInt();
        if (length < 16 || length > LONGEST_METADATA || length > size - trailer - 64) {
            throw faults.wrong(
                    size - trailer,
                    "a footer of %d bytes".formatted(length),
                    "one that fits in the file");
        }
        return new Region(size - trailer - length, length);
    }

    /// The message at `offset`, which is to end before `end`.
    private Region message(long offset, long end) throws IOException {
        if (offset > end - 8) {
            throw faults.wrong(offset, "no room for a message", "the schema");
        }
        ByteBuffer prefix = ArrowFraming.little(Channels.read(channel, path, offset, 8));
        int mark = prefix.getInt();
        int length = prefix.getInt();
        if (mark != -1 || length < 16 || length > LONGEST_METADATA || length > end - offset - 8) {
            throw faults.wrong(
                    offset, "a message of %d bytes".formatted(length), "one that fits in the file");
        }
        return new Region(offset, length + 8);
    }

    /// The bytes of a message or the footer, their checksum checked.
    private byte[] sealed(Region region) throws IOException {
        byte[] bytes = Channels.read(channel, path, region.offset(), region.size());
        faults.sealed(region.offset(), bytes);
        return bytes;
    }

    /// Per batch: the elements of the tensor that begins with it, -1 where one goes on.
    private long[] counts(List<Tensor> tensors) throws MalformedFileException {
        if (file.batches() > size / ArrowFraming.ALIGNMENT) {
            throw faults.wrong(
                    -1,
                    "%d bytes".formatted(size),
                    "the %d record batches that the manifest says".formatted(file.batches()));
        }
        long next = 0;
        long[] counts = new long[file.batches()];
        Arrays.fill(counts, -1);
        for (Tensor tensor : tensors) {
            Manifest.Place place = tensor.place();
            if (place.firstBatch() != next || next + place.batches() > counts.length) {
                throw faults.wrong(
                        -1,
                        "\"%s\" is in batches %d and on, %d of them"
                                .formatted(tensor.name(), place.firstBatch(), place.batches()),
                        "batch %d first, of %d in all".formatted(next, counts.length));
            }
            counts[place.firstBatch()] = tensor.shape().count();
            next += place.batches();
        }
        if (next != counts.length) {
            throw faults.wrong(
                    -1, "batches of no tensor from %d on".formatted(next), "all to be a tensor's");
        }
        return counts;
    }

    /// Walks the batches, which are to tile `[from, end)`.
    ///
    /// @param counts see [#counts]
    private StateFileView batches(long from, long end, Block[] blocks, long[] counts)
            throws IOException {
        long[] starts = new long[blocks.length + 1];
        long[] bodies = new long[blocks.length];
        int buffers = file.compression().buffers(file.dtype());
        long[] stored = new long[Math.multiplyExact(blocks.length, buffers)];
        long at = from;
        long valuesEnd = from;
        long left = 0;
        for (int b = 0; b < blocks.length; b++) {
            if (counts[b] >= 0) {
                requireNone(at, left);
                left = counts[b];
            }
            long metadata = blocks[b].metaDataLength();
            long body = blocks[b].bodyLength();
            if (blocks[b].offset() != at
                    || metadata < 16
                    || metadata > LONGEST_BATCH_METADATA
                    || body < 0
                    || metadata > end - at
                    || body > end - at - metadata) {
                throw faults.wrong(
                        at,
                        "batch %d is said to be at %d, %d + %d bytes"
                                .formatted(b, blocks[b].offset(), metadata, body),
                        "it to begin here and end before %d".formatted(end));
            }
            Region message = new Region(at, (int) metadata);
            BatchCheck.Values values =
                    batch.require(message, read(valuesEnd, message), body, b, left);
            left -= values.rows();
            starts[b + 1] = starts[b] + values.rows() * file.dtype().width();
            bodies[b] = at + metadata;
            System.arraycopy(values.stored(), 0, stored, b * buffers, buffers);
            valuesEnd = bodies[b] + values.size();
            at = bodies[b] + body;
            requirePadding(valuesEnd, at);
        }
        requireNone(at, left);
        if (at != end) {
            throw faults.wrong(at, "%d bytes that are in no batch".formatted(end - at), "none");
        }
        read(valuesEnd, new Region(at, 0));
        return new StateFileView(source, file, starts, bodies, stored);
    }

    /// A message and, by the same read, the padding that is to lie between `valuesEnd` and it.
    private byte[] read(long valuesEnd, Region message) throws IOException {
        int gap = Math.toIntExact(message.offset() - valuesEnd);
        byte[] bytes = Channels.read(channel, path, valuesEnd, gap + message.size());
        faults.same(valuesEnd, new byte[gap], Arrays.copyOf(bytes, gap), "padding");
        return Arrays.copyOfRange(bytes, gap, bytes.length);
    }

    private void requirePadding(long from, long to) throws MalformedFileException {
        if (to - from >= ArrowFraming.ALIGNMENT) {
            throw faults.wrong(
                    from, "%d bytes after the values".formatted(to - from), "less than 64");
        }
    }

    private void requireNone(long at, long left) throws MalformedFileException {
        if (left != 0) {
            throw faults.wrong(
                    at, "the tensor before has %d elements less".formatted(left), "all of it");
        }
    }
}
