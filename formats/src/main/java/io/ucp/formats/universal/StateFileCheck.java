package io.ucp.formats.universal;

import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import org.apache.arrow.flatbuf.Block;
import org.apache.arrow.flatbuf.BodyCompressionMethod;
import org.apache.arrow.flatbuf.CompressionType;
import org.apache.arrow.flatbuf.Endianness;
import org.apache.arrow.flatbuf.Field;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.KeyValue;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.MetadataVersion;
import org.apache.arrow.flatbuf.RecordBatch;
import org.apache.arrow.flatbuf.Schema;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;

/// Reads everything of a state file but its tensors, and holds it against the manifest: afterwards
/// every byte outside the bodies has been checked, and every place in the file is proven to lie in
/// it.
final class StateFileCheck {
    private static final String COPY = "copy the checkpoint again";
    private static final int LONGEST_METADATA = 1 << 28;
    private static final int LONGEST_BATCH_METADATA = 1 << 16;

    private final Path path;
    private final Manifest.ArrowFile file;
    private final FileChannel channel;
    private final long size;

    private StateFileCheck(Path path, Manifest.ArrowFile file, FileChannel channel)
            throws IOException {
        this.path = path;
        this.file = file;
        this.channel = channel;
        this.size = channel.size();
    }

    /// What the manifest says of a tensor in this file.
    record Tensor(String name, Shape shape, Manifest.Place place) {}

    /// @param tensors all of the file
    static StateFileView check(Path folder, Manifest.ArrowFile file, List<Tensor> tensors)
            throws IOException {
        Path path = folder.resolve(file.path());
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            return new StateFileCheck(path, file, channel).check(tensors);
        }
    }

    private StateFileView check(List<Tensor> tensors) throws IOException {
        if (file.size() >= 0 && file.size() != size) {
            throw wrong(-1, "%d bytes".formatted(size), "%d".formatted(file.size()));
        }
        long[] counts = counts(tensors);
        Region footerRegion = footer();
        byte[] footer = sealed(footerRegion);
        long end = footerRegion.offset() - 8;
        byte[] magic = Arrays.copyOf(ArrowFraming.magic(), 8);
        same(0, magic, Channels.read(channel, path, 0, 8), "an Arrow file to begin so");
        Region header = message(8, end);
        same(
                end,
                new byte[] {-1, -1, -1, -1, 0, 0, 0, 0},
                Channels.read(channel, path, end, 8),
                "the end of the stream");
        Block[] blocks;
        try {
            Message message = Message.getRootAsMessage(flatbuffer(header, sealed(header)));
            require(header, message.headerType() == MessageHeader.Schema, "no schema message");
            schema(header, (Schema) message.header(new Schema()), tensors);
            Footer read = Footer.getRootAsFooter(ByteBuffer.wrap(footer));
            schema(footerRegion, read.schema(), tensors);
            require(footerRegion, read.dictionariesLength() == 0, "dictionaries");
            require(
                    footerRegion,
                    read.recordBatchesLength() == file.batches(),
                    "%d record batches".formatted(read.recordBatchesLength()));
            blocks = new Block[file.batches()];
            for (int b = 0; b < blocks.length; b++) {
                blocks[b] = read.recordBatches(b);
            }
        } catch (RuntimeException e) {
            throw damaged(footerRegion, e);
        }
        return batches(header.offset() + header.size(), end, blocks, counts);
    }

    /// Bytes of the file, `offset` from its start.
    private record Region(long offset, int size) {}

    /// The footer without what follows it.
    private Region footer() throws IOException {
        byte[] magic = ArrowFraming.magic();
        int trailer = 4 + magic.length;
        if (size < 64 + trailer) {
            throw wrong(size, "the file ends here", "the footer of an Arrow file");
        }
        byte[] tail = Channels.read(channel, path, size - trailer, trailer);
        same(
                size - magic.length,
                magic,
                Arrays.copyOfRange(tail, 4, trailer),
                "an Arrow file to end so");
        int length = ArrowFraming.little(tail).getInt();
        if (length < 16 || length > LONGEST_METADATA || length > size - trailer - 64) {
            throw wrong(
                    size - trailer,
                    "a footer of %d bytes".formatted(length),
                    "one that fits in the file");
        }
        return new Region(size - trailer - length, length);
    }

    /// The message at `offset`, which is to end before `end`.
    private Region message(long offset, long end) throws IOException {
        if (offset > end - 8) {
            throw wrong(offset, "no room for a message", "the schema");
        }
        ByteBuffer prefix = ArrowFraming.little(Channels.read(channel, path, offset, 8));
        int mark = prefix.getInt();
        int length = prefix.getInt();
        if (mark != -1 || length < 16 || length > LONGEST_METADATA || length > end - offset - 8) {
            throw wrong(
                    offset, "a message of %d bytes".formatted(length), "one that fits in the file");
        }
        return new Region(offset, length + 8);
    }

    /// The bytes of a message or the footer, their checksum checked.
    private byte[] sealed(Region region) throws IOException {
        byte[] bytes = Channels.read(channel, path, region.offset(), region.size());
        sealed(region.offset(), bytes);
        return bytes;
    }

    private void sealed(long offset, byte[] bytes) throws MalformedFileException {
        int size = bytes.length - 4;
        if (ArrowFraming.little(bytes).getInt(size) != ArrowFraming.checksum(bytes, 0, size)) {
            throw wrong(
                    offset,
                    "%d bytes of Arrow metadata whose checksum does not match".formatted(size),
                    "the CRC-32C in their last four bytes");
        }
    }

    private static ByteBuffer flatbuffer(Region region, byte[] message) {
        return ByteBuffer.wrap(message, 8, region.size() - 8).slice();
    }

    private void schema(Region where, Schema schema, List<Tensor> tensors)
            throws MalformedFileException {
        require(where, schema.endianness() == Endianness.Little, "big-endian values");
        require(where, schema.fieldsLength() == 1, "%d columns".formatted(schema.fieldsLength()));
        Field field = schema.fields(0);
        require(
                where,
                ArrowFraming.COLUMN.equals(field.name()),
                "a column \"%s\"".formatted(field.name()));
        require(where, !field.nullable() && field.dictionary() == null, "a nullable column");
        require(
                where,
                ColumnType.read(field).equals(ColumnType.of(file.dtype())),
                "a column that does not hold " + file.dtype().torchName());
        String index = null;
        for (int i = 0; i < schema.customMetadataLength(); i++) {
            KeyValue entry = schema.customMetadata(i);
            index = ArrowFraming.INDEX_KEY.equals(entry.key()) ? entry.value() : index;
        }
        if (index == null) {
            throw wrong(where.offset(), "no index of tensors", "metadata \"ucp\" in the schema");
        }
        index(where, index, tensors);
    }

    private void index(Region where, String text, List<Tensor> tensors)
            throws MalformedFileException {
        JsonObject index;
        try {
            Object json = Json.parse(text.getBytes(StandardCharsets.UTF_8));
            index = JsonObject.of(path, "index of tensors", json);
        } catch (IOException e) {
            throw wrong(
                    where.offset(), "an index of tensors that is not JSON", e.getMessage() + "");
        }
        require(where, index.number("version") == Manifest.VERSION, "another version");
        require(where, index.text("state").equals(file.state()), "another state");
        require(where, ManifestFacts.dtype(index) == file.dtype(), "another dtype");
        List<JsonObject> entries = index.objects("tensors");
        require(where, entries.size() == tensors.size(), "%d tensors".formatted(entries.size()));
        for (int t = 0; t < tensors.size(); t++) {
            Tensor tensor = tensors.get(t);
            JsonObject entry = entries.get(t);
            require(
                    where,
                    entry.text("name").equals(tensor.name())
                            && Arrays.equals(entry.numbers("shape"), tensor.shape().dims())
                            && entry.number("batch") == tensor.place().firstBatch()
                            && entry.number("batches") == tensor.place().batches(),
                    "tensor %d is not \"%s\"".formatted(t, tensor.name()));
        }
    }

    /// Per batch: the elements of the tensor that begins with it, -1 where one goes on.
    private long[] counts(List<Tensor> tensors) throws MalformedFileException {
        if (file.batches() > size / ArrowFraming.ALIGNMENT) {
            throw wrong(
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
                throw wrong(
                        -1,
                        "\"%s\" is in batches %d and on, %d of them"
                                .formatted(tensor.name(), place.firstBatch(), place.batches()),
                        "batch %d first, of %d in all".formatted(next, counts.length));
            }
            counts[place.firstBatch()] = tensor.shape().count();
            next += place.batches();
        }
        if (next != counts.length) {
            throw wrong(
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
        long[] stored = new long[blocks.length];
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
                throw wrong(
                        at,
                        "batch %d is said to be at %d, %d + %d bytes"
                                .formatted(b, blocks[b].offset(), metadata, body),
                        "it to begin here and end before %d".formatted(end));
            }
            Region message = new Region(at, (int) metadata);
            Values values = batch(message, read(valuesEnd, message), body, b, left);
            left -= values.rows();
            starts[b + 1] = starts[b] + values.rows() * file.dtype().width();
            bodies[b] = at + metadata;
            stored[b] = values.stored();
            valuesEnd = bodies[b] + stored[b];
            at = bodies[b] + body;
            requirePadding(valuesEnd, at);
        }
        requireNone(at, left);
        if (at != end) {
            throw wrong(at, "%d bytes that are in no batch".formatted(end - at), "none");
        }
        read(valuesEnd, new Region(at, 0));
        return new StateFileView(path, file.compressed(), starts, bodies, stored);
    }

    /// A message and, by the same read, the padding that is to lie between `valuesEnd` and it.
    private byte[] read(long valuesEnd, Region message) throws IOException {
        int gap = Math.toIntExact(message.offset() - valuesEnd);
        byte[] bytes = Channels.read(channel, path, valuesEnd, gap + message.size());
        same(valuesEnd, new byte[gap], Arrays.copyOf(bytes, gap), "padding");
        return Arrays.copyOfRange(bytes, gap, bytes.length);
    }

    /// @param stored bytes that the values take in the file
    private record Values(long rows, long stored) {}

    /// Checks a batch's message.
    private Values batch(Region region, byte[] bytes, long body, int number, long left)
            throws MalformedFileException {
        sealed(region.offset(), bytes);
        ByteBuffer prefix = ArrowFraming.little(bytes);
        require(
                region,
                prefix.getInt() == -1 && prefix.getInt() == region.size() - 8,
                "no message of this size");
        try {
            Message message = Message.getRootAsMessage(flatbuffer(region, bytes));
            require(region, message.version() == MetadataVersion.V5, "another metadata version");
            require(region, message.headerType() == MessageHeader.RecordBatch, "no record batch");
            require(region, message.bodyLength() == body, "another length than in the footer");
            RecordBatch batch = (RecordBatch) message.header(new RecordBatch());
            long rows = batch.length();
            require(
                    region,
                    rows >= 0 && rows <= left && (rows > 0 || left == 0),
                    "%d rows in batch %d where %d are left".formatted(rows, number, left));
            require(
                    region,
                    batch.nodesLength() == 1
                            && batch.nodes(0).length() == rows
                            && batch.nodes(0).nullCount() == 0
                            && batch.buffersLength() == 2
                            && batch.buffers(0).length() == 0
                            && batch.buffers(1).offset() == 0,
                    "batch %d is not one column without nulls".formatted(number));
            long stored = batch.buffers(1).length();
            require(region, stored >= 0 && stored <= body, "values longer than the body");
            lengths(region, batch, rows, stored);
            return new Values(rows, stored);
        } catch (RuntimeException e) {
            throw damaged(region, e);
        }
    }

    private void lengths(Region region, RecordBatch batch, long rows, long stored)
            throws MalformedFileException {
        long raw = Math.multiplyExact(rows, file.dtype().width());
        if (!file.compressed()) {
            require(region, batch.compression() == null, "a compressed batch");
            require(region, raw <= Integer.MAX_VALUE, "a buffer of 2 GiB or more");
            require(region, stored == raw, "%d bytes for %d rows".formatted(stored, rows));
            return;
        }
        require(
                region,
                batch.compression() != null
                        && batch.compression().codec() == CompressionType.ZSTD
                        && batch.compression().method() == BodyCompressionMethod.BUFFER,
                "no zstd buffers");
        require(region, raw <= Limits.MAX_COMPRESSED_BATCH, "%d raw bytes".formatted(raw));
        // No frame is kept that is not smaller than what it holds.
        require(
                region,
                raw == 0 ? stored == 0 : stored > 8 && stored <= 8 + raw,
                "%d bytes for %d rows".formatted(stored, rows));
    }

    private void requirePadding(long from, long to) throws MalformedFileException {
        if (to - from >= ArrowFraming.ALIGNMENT) {
            throw wrong(from, "%d bytes after the values".formatted(to - from), "less than 64");
        }
    }

    private void requireNone(long at, long left) throws MalformedFileException {
        if (left != 0) {
            throw wrong(at, "the tensor before has %d elements less".formatted(left), "all of it");
        }
    }

    private void same(long offset, byte[] expected, byte[] found, String what)
            throws MalformedFileException {
        int differs = Arrays.mismatch(expected, found);
        if (differs >= 0) {
            throw wrong(
                    offset + differs,
                    "byte 0x%02x".formatted(found[differs]),
                    "0x%02x: %s".formatted(expected[differs], what));
        }
    }

    private void require(Region where, boolean holds, String found) throws MalformedFileException {
        if (!holds) {
            throw wrong(where.offset(), found, "what the manifest says");
        }
    }

    private MalformedFileException damaged(Region region, RuntimeException cause) {
        MalformedFileException e =
                wrong(region.offset(), "Arrow metadata that points outside itself", "a flatbuffer");
        e.initCause(cause);
        return e;
    }

    private MalformedFileException wrong(long offset, String found, String expected) {
        return new MalformedFileException(path, offset, found, expected, COPY);
    }
}
