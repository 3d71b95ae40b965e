package io.ucp.formats.universal;

import com.google.flatbuffers.FlatBufferBuilder;

import io.ucp.tensor.DType;

import org.apache.arrow.flatbuf.Block;
import org.apache.arrow.flatbuf.BodyCompression;
import org.apache.arrow.flatbuf.BodyCompressionMethod;
import org.apache.arrow.flatbuf.Buffer;
import org.apache.arrow.flatbuf.CompressionType;
import org.apache.arrow.flatbuf.Endianness;
import org.apache.arrow.flatbuf.Field;
import org.apache.arrow.flatbuf.FieldNode;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.KeyValue;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.MetadataVersion;
import org.apache.arrow.flatbuf.RecordBatch;
import org.apache.arrow.flatbuf.Schema;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;

/// Everything in a state file that is not a tensor, as bytes.
///
/// ```
/// "ARROW1" 0 0 | schema message | (batch message | body | zeros to 64)* | end of stream | footer
/// message = FFFFFFFF | i32 size of the rest | flatbuffer | zeros | u32 CRC-32C of all before
/// footer  = flatbuffer | zeros | u32 CRC-32C of all before | i32 size so far | "ARROW1"
/// ```
///
/// Messages end at multiples of 64 bytes, so that bodies begin there. The checksums lie in what is
/// padding to Arrow. Source: Arrow columnar format, "IPC File Format", "Buffer Compression".
final class ArrowFraming {
    static final int ALIGNMENT = 64;

    /// The name of the one column.
    static final String COLUMN = "values";

    /// The key of the schema's custom metadata that holds the index of tensors.
    static final String INDEX_KEY = "ucp";

    private static final byte[] MAGIC = "ARROW1".getBytes(StandardCharsets.US_ASCII);
    private static final int PREFIX = 8;
    private static final int CHECKSUM = 4;

    private ArrowFraming() {}

    /// Where record batches lie.
    ///
    /// @param offset of the message
    /// @param metadata bytes of the message
    /// @param body bytes, padding included
    record Place(long offset, int metadata, long body) {}

    /// The name of the field, in a column of structs, that holds byte `p` of every element.
    static String plane(int p) {
        return "byte" + p;
    }

    static byte[] magic() {
        return MAGIC.clone();
    }

    static long padded(long size) {
        return Math.addExact(size, ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    /// The magic and the schema message.
    ///
    /// @param index JSON
    static byte[] header(DType dtype, Compression compression, String index) {
        FlatBufferBuilder builder = new FlatBufferBuilder(512 + index.length());
        int schema = schema(builder, dtype, compression, index);
        Message.startMessage(builder);
        Message.addVersion(builder, MetadataVersion.V5);
        Message.addHeaderType(builder, MessageHeader.Schema);
        Message.addHeader(builder, schema);
        builder.finish(Message.endMessage(builder));
        byte[] message = message(builder.sizedByteArray(), PREFIX);
        byte[] header = new byte[PREFIX + message.length];
        System.arraycopy(MAGIC, 0, header, 0, MAGIC.length);
        System.arraycopy(message, 0, header, PREFIX, message.length);
        return header;
    }

    /// The message of a record batch: no validity bitmaps, and the values in one buffer, or in one
    /// for each byte of an element. All have one size for one kind of compression and dtype,
    /// whatever the numbers.
    ///
    /// @param stored bytes of each buffer as it lies in the file, padding excluded
    static byte[] batch(Compression compression, long rows, long... stored) {
        boolean struct = compression == Compression.SHUFFLED;
        FlatBufferBuilder builder = new FlatBufferBuilder(256);
        builder.forceDefaults(true);
        // Vectors are built from their end.
        RecordBatch.startBuffersVector(builder, 2 * stored.length + (struct ? 1 : 0));
        for (int b = stored.length - 1; b >= 0; b--) {
            long offset = offset(stored, b);
            Buffer.createBuffer(builder, offset, stored[b]);
            Buffer.createBuffer(builder, offset, 0);
        }
        if (struct) {
            Buffer.createBuffer(builder, 0, 0);
        }
        int buffers = builder.endVector();
        int columns = stored.length + (struct ? 1 : 0);
        RecordBatch.startNodesVector(builder, columns);
        for (int n = 0; n < columns; n++) {
            FieldNode.createFieldNode(builder, rows, 0);
        }
        int nodes = builder.endVector();
        int codec =
                compression.compresses()
                        ? BodyCompression.createBodyCompression(
                                builder, CompressionType.ZSTD, BodyCompressionMethod.BUFFER)
                        : 0;
        RecordBatch.startRecordBatch(builder);
        RecordBatch.addLength(builder, rows);
        RecordBatch.addNodes(builder, nodes);
        RecordBatch.addBuffers(builder, buffers);
        if (compression.compresses()) {
            RecordBatch.addCompression(builder, codec);
        }
        int batch = RecordBatch.endRecordBatch(builder);
        Message.startMessage(builder);
        Message.addVersion(builder, MetadataVersion.V5);
        Message.addHeaderType(builder, MessageHeader.RecordBatch);
        Message.addHeader(builder, batch);
        Message.addBodyLength(builder, padded(offset(stored, stored.length)));
        builder.finish(Message.endMessage(builder));
        return message(builder.sizedByteArray(), 0);
    }

    /// Where buffer `b` of a body begins, at a multiple of 8 bytes, or where the last of them ends.
    static long offset(long[] stored, int b) {
        long at = 0;
        for (int before = 0; before < b; before++) {
            at = Math.addExact(aligned(at), stored[before]);
        }
        return b < stored.length ? aligned(at) : at;
    }

    private static long aligned(long size) {
        return Math.addExact(size, 7) / 8 * 8;
    }

    /// The end of stream mark and the footer.
    static byte[] end(DType dtype, Compression compression, String index, Place[] batches) {
        FlatBufferBuilder builder =
                new FlatBufferBuilder(512 + index.length() + 24 * batches.length);
        int schema = schema(builder, dtype, compression, index);
        Footer.startRecordBatchesVector(builder, batches.length);
        for (int i = batches.length - 1; i >= 0; i--) {
            Block.createBlock(builder, batches[i].offset, batches[i].metadata, batches[i].body);
        }
        int blocks = builder.endVector();
        Footer.startDictionariesVector(builder, 0);
        int dictionaries = builder.endVector();
        Footer.startFooter(builder);
        Footer.addVersion(builder, MetadataVersion.V5);
        Footer.addSchema(builder, schema);
        Footer.addDictionaries(builder, dictionaries);
        Footer.addRecordBatches(builder, blocks);
        builder.finish(Footer.endFooter(builder));
        byte[] footer = builder.sizedByteArray();
        int sealed = Math.toIntExact((footer.length + CHECKSUM + 7L) / 8 * 8);
        byte[] end = new byte[PREFIX + sealed + 4 + MAGIC.length];
        ByteBuffer out = little(end);
        out.putInt(-1).putInt(0).put(footer);
        out.position(PREFIX + sealed - CHECKSUM);
        out.putInt(checksum(end, PREFIX, sealed - CHECKSUM)).putInt(sealed).put(MAGIC);
        return end;
    }

    private static int schema(
            FlatBufferBuilder builder, DType dtype, Compression compression, String index) {
        int column;
        if (compression == Compression.SHUFFLED) {
            int[] planes = new int[dtype.width()];
            for (int p = 0; p < planes.length; p++) {
                planes[p] = field(builder, plane(p), ColumnType.BYTE);
            }
            column = field(builder, COLUMN, ColumnType.STRUCT, planes);
        } else {
            column = field(builder, COLUMN, ColumnType.of(dtype));
        }
        int fields = Schema.createFieldsVector(builder, new int[] {column});
        int entry =
                KeyValue.createKeyValue(
                        builder, builder.createString(INDEX_KEY), builder.createString(index));
        int metadata = Schema.createCustomMetadataVector(builder, new int[] {entry});
        Schema.startSchema(builder);
        Schema.addEndianness(builder, Endianness.Little);
        Schema.addFields(builder, fields);
        Schema.addCustomMetadata(builder, metadata);
        return Schema.endSchema(builder);
    }

    private static int field(
            FlatBufferBuilder builder, String text, ColumnType column, int... fields) {
        int name = builder.createString(text);
        int type = column.write(builder);
        int children = Field.createChildrenVector(builder, fields);
        Field.startField(builder);
        Field.addName(builder, name);
        Field.addNullable(builder, false);
        Field.addTypeType(builder, column.type());
        Field.addType(builder, type);
        Field.addChildren(builder, children);
        return Field.endField(builder);
    }

    private static byte[] message(byte[] flatbuffer, int before) {
        long end = padded((long) before + PREFIX + flatbuffer.length + CHECKSUM);
        int size = Math.toIntExact(end - before);
        byte[] message = new byte[size];
        ByteBuffer out = little(message);
        out.putInt(-1).putInt(size - PREFIX).put(flatbuffer);
        out.putInt(size - CHECKSUM, checksum(message, 0, size - CHECKSUM));
        return message;
    }

    static int checksum(byte[] bytes, int from, int size) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, from, size);
        return (int) crc.getValue();
    }

    static ByteBuffer little(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
}
