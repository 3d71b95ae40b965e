package io.ucp.formats.universal;

import io.ucp.formats.universal.StateFileFaults.Region;
import io.ucp.io.MalformedFileException;

import org.apache.arrow.flatbuf.BodyCompressionMethod;
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

    /// @param stored bytes that the values take in the file
    record Values(long rows, long stored) {}

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
            faults.require(
                    region,
                    batch.nodesLength() == 1
                            && batch.nodes(0).length() == rows
                            && batch.nodes(0).nullCount() == 0
                            && batch.buffersLength() == 2
                            && batch.buffers(0).length() == 0
                            && batch.buffers(1).offset() == 0,
                    "batch %d is not one column without nulls".formatted(number));
            long stored = batch.buffers(1).length();
            faults.require(region, stored >= 0 && stored <= body, "values longer than the body");
            lengths(region, batch, rows, stored);
            return new Values(rows, stored);
        } catch (RuntimeException e) {
            throw faults.damaged(region, e);
        }
    }

    private void lengths(Region region, RecordBatch batch, long rows, long stored)
            throws MalformedFileException {
        long raw = Math.multiplyExact(rows, file.dtype().width());
        if (!file.compressed()) {
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
        faults.require(
                region,
                raw == 0 ? stored == 0 : stored > 8 && stored <= 8 + raw,
                "%d bytes for %d rows".formatted(stored, rows));
    }
}
