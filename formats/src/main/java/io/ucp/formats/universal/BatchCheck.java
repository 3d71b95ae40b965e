package io.ucp.formats.universal;

import io.ucp.formats.universal.StateFileFaults.Region;
import io.ucp.io.MalformedFileException;

import org.apache.arrow.flatbuf.BodyCompressionMethod;
import org.apache.arrow.flatbuf.Buffer;
import org.apache.arrow.flatbuf.CompressionType;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.MetadataVersion;
import org.apache.arrow.flatbuf.RecordBatch;

import java.nio.ByteBuffer;

/// Holds the message of a record batch against its column and what is left of its tensor.
final class BatchCheck {
    private final Manifest.ArrowFile file;
    private final StateFileFaults faults;

    BatchCheck(Manifest.ArrowFile file, StateFileFaults faults) {
        this.file = file;
        this.faults = faults;
    }

    /// @param stored bytes that each buffer of values takes in the file
    record Values(long rows, long[] stored) {
        /// Bytes of the body without what pads it.
        long size() {
            return ArrowFraming.offset(stored, stored.length);
        }
    }

    /// Checks the message of a batch.
    ///
    /// @param bytes of the message
    /// @param body bytes of the body behind it
    /// @param left elements that the tensor still lacks
    Values require(Region region, byte[] bytes, long body, int number, long left)
            throws MalformedFileException {
        faults.sealed(region.offset(), bytes);
        ByteBuffer prefix = ArrowFraming.little(bytes);
        faults.require(
                region,
                prefix.getInt() == -1 && prefix.getInt() == region.size() - 8,
                "no message of this size");
        try {
            Message message = Message.getRootAsMessage(StateFileFaults.flatbuffer(region, bytes));
            faults.require(
                    region, message.version() == MetadataVersion.V5, "another metadata version");
            faults.require(
                    region, message.headerType() == MessageHeader.RecordBatch, "no record batch");
            faults.require(
                    region, message.bodyLength() == body, "another length than in the footer");
            RecordBatch batch = (RecordBatch) message.header(new RecordBatch());
            long rows = batch.length();
            faults.require(
                    region,
                    rows >= 0 && rows <= left && (rows > 0 || left == 0),
                    "%d rows in batch %d where %d are left".formatted(rows, number, left));
            Values values = new Values(rows, stored(region, batch, body, number));
            lengths(region, batch, values);
            return values;
        } catch (RuntimeException e) {
            throw faults.damaged(region, e);
        }
    }

    /// The lengths of the buffers of values, which are to lie as [ArrowFraming#offset] says.
    private long[] stored(Region region, RecordBatch batch, long body, int number)
            throws MalformedFileException {
        long[] stored = new long[file.compression().buffers(file.dtype())];
        int structs = file.compression() == Compression.SHUFFLED ? 1 : 0;
        boolean plain =
                batch.nodesLength() == structs + stored.length
                        && batch.buffersLength() == structs + 2 * stored.length
                        && (structs == 0 || batch.buffers(0).length() == 0);
        for (int n = 0; plain && n < batch.nodesLength(); n++) {
            plain = batch.nodes(n).length() == batch.length() && batch.nodes(n).nullCount() == 0;
        }
        for (int b = 0; plain && b < stored.length; b++) {
            Buffer values = batch.buffers(structs + 2 * b + 1);
            stored[b] = values.length();
            faults.require(
                    region,
                    stored[b] >= 0 && stored[b] <= body - ArrowFraming.offset(stored, b),
                    "values longer than the body");
            plain =
                    batch.buffers(structs + 2 * b).length() == 0
                            && values.offset() == ArrowFraming.offset(stored, b);
        }
        faults.require(region, plain, "batch %d is not one column without nulls".formatted(number));
        return stored;
    }

    private void lengths(Region region, RecordBatch batch, Values values)
            throws MalformedFileException {
        long rows = values.rows();
        long raw = Math.multiplyExact(rows, file.dtype().width());
        if (!file.compression().compresses()) {
            long stored = values.stored()[0];
            faults.require(region, batch.compression() == null, "a compressed batch");
            faults.require(region, raw <= Integer.MAX_VALUE, "a buffer of 2 GiB or more");
            faults.require(region, stored == raw, "%d bytes for %d rows".formatted(stored, rows));
            return;
        }
        faults.require(
                region,
                batch.compression() != null
                        && batch.compression().codec() == CompressionType.ZSTD
                        && batch.compression().method() == BodyCompressionMethod.BUFFER,
                "no zstd buffers");
        faults.require(region, raw <= Limits.MAX_COMPRESSED_BATCH, "%d raw bytes".formatted(raw));
        // No frame is kept that is not smaller than what it holds.
        long each = raw / values.stored().length;
        for (long stored : values.stored()) {
            faults.require(
                    region,
                    raw == 0 ? stored == 0 : stored > 8 && stored <= 8 + each,
                    "%d bytes for %d rows".formatted(stored, rows));
        }
    }
}
