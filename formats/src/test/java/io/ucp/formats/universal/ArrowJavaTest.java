package io.ucp.formats.universal;

import static org.assertj.core.api.Assertions.assertThat;

import com.github.luben.zstd.Zstd;

import io.ucp.formats.ParameterFacts;
import io.ucp.tensor.DType;

import org.apache.arrow.flatbuf.CompressionType;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.apache.arrow.vector.ipc.ReadChannel;
import org.apache.arrow.vector.ipc.message.ArrowBlock;
import org.apache.arrow.vector.ipc.message.ArrowRecordBatch;
import org.apache.arrow.vector.ipc.message.MessageSerializer;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/// State files as Arrow Java reads them.
class ArrowJavaTest {
    @TempDir Path folder;

    private TensorBytes write(String compress) throws IOException {
        return Samples.write(
                new UniversalFormat(Samples.TINY),
                folder,
                Samples.parameters(),
                List.of(),
                Map.of("compress", compress));
    }

    /// The tensors of a file, by the index in its schema.
    private record Place(String name, int batch, int batches) {}

    private static List<Place> places(ArrowFileReader reader, Path file) throws IOException {
        String text =
                reader.getVectorSchemaRoot()
                        .getSchema()
                        .getCustomMetadata()
                        .getOrDefault("ucp", "none");
        JsonObject index =
                JsonObject.of(file, "", Json.parse(text.getBytes(StandardCharsets.UTF_8)));
        List<Place> places = new ArrayList<>();
        for (JsonObject tensor : index.objects("tensors")) {
            places.add(
                    new Place(
                            tensor.text("name"),
                            (int) tensor.number("batch"),
                            (int) tensor.number("batches")));
        }
        return places;
    }

    @Test
    void holdsEveryTensorInTheBatchesThatTheSchemaNames() throws IOException {
        TensorBytes tensors = write("none");
        int checked = 0;
        for (Manifest.ArrowFile file : ManifestReader.read(folder).files()) {
            Path path = folder.resolve(file.path());
            try (RootAllocator allocator = new RootAllocator();
                    FileChannel channel = FileChannel.open(path);
                    ArrowFileReader reader = new ArrowFileReader(channel, allocator)) {
                for (Place place : places(reader, path)) {
                    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                    for (int b = 0; b < place.batches(); b++) {
                        ArrowBlock block = reader.getRecordBlocks().get(place.batch() + b);
                        reader.loadRecordBatch(block);
                        FieldVector values = reader.getVectorSchemaRoot().getVector("values");
                        assertThat(values.getNullCount()).isZero();
                        byte[] batch = new byte[values.getValueCount() * file.dtype().width()];
                        values.getDataBuffer().getBytes(0, batch);
                        bytes.writeBytes(batch);
                    }
                    assertThat(bytes.toByteArray())
                            .isEqualTo(tensors.get(place.name(), file.state()));
                    checked++;
                }
            }
        }
        assertThat(checked).isEqualTo(DType.values().length + 5 * 4);
    }

    @Test
    void bodiesBeginAtMultiplesOf64Bytes() throws IOException {
        write("none");
        for (Manifest.ArrowFile file : ManifestReader.read(folder).files()) {
            try (RootAllocator allocator = new RootAllocator();
                    FileChannel channel = FileChannel.open(folder.resolve(file.path()));
                    ArrowFileReader reader = new ArrowFileReader(channel, allocator)) {
                for (ArrowBlock block : reader.getRecordBlocks()) {
                    assertThat((block.getOffset() + block.getMetadataLength()) % 64).isZero();
                }
            }
        }
    }

    @Test
    void columnsHaveTheWidthOfTheirDtype() throws IOException {
        Map<DType, ArrowType> expected =
                Map.of(
                        DType.FLOAT32,
                        new ArrowType.FloatingPoint(FloatingPointPrecision.SINGLE),
                        DType.BFLOAT16,
                        new ArrowType.Int(16, false),
                        DType.FLOAT8_E5M2,
                        new ArrowType.Int(8, false),
                        DType.BOOL,
                        new ArrowType.Int(8, false),
                        DType.INT64,
                        new ArrowType.Int(64, true),
                        DType.COMPLEX128,
                        new ArrowType.FixedSizeBinary(16));
        write("none");
        int checked = 0;
        for (Manifest.ArrowFile file : ManifestReader.read(folder).files()) {
            if (!expected.containsKey(file.dtype())) {
                continue;
            }
            try (RootAllocator allocator = new RootAllocator();
                    FileChannel channel = FileChannel.open(folder.resolve(file.path()));
                    ArrowFileReader reader = new ArrowFileReader(channel, allocator)) {
                assertThat(reader.getVectorSchemaRoot().getSchema().findField("values").getType())
                        .isEqualTo(expected.get(file.dtype()));
                checked++;
            }
        }
        assertThat(checked).isGreaterThanOrEqualTo(expected.size());
    }

    @Test
    void compressedBuffersAreArrowsOwn() throws IOException {
        TensorBytes tensors = write("zstd");
        int frames = 0;
        int raws = 0;
        for (Manifest.ArrowFile file : ManifestReader.read(folder).files()) {
            Path path = folder.resolve(file.path());
            try (RootAllocator allocator = new RootAllocator();
                    FileChannel channel = FileChannel.open(path);
                    ArrowFileReader reader = new ArrowFileReader(channel, allocator)) {
                for (Place place : places(reader, path)) {
                    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                    for (Stored batch : stored(reader, channel, allocator, place)) {
                        byte[] stored = batch.buffers().get(1);
                        boolean raw = stored.length > 0 && first(stored) == -1;
                        raws += raw ? 1 : 0;
                        frames += raw || stored.length == 0 ? 0 : 1;
                        bytes.writeBytes(values(stored));
                    }
                    assertThat(bytes.toByteArray())
                            .isEqualTo(tensors.get(place.name(), file.state()));
                }
            }
        }
        assertThat(frames).as("batches that shrank").isPositive();
        assertThat(raws).as("batches that did not").isPositive();
    }

    @Test
    void shuffledBuffersHoldOneByteOfEveryElement() throws IOException {
        TensorBytes tensors = write("zstd+shuffle");
        int structs = 0;
        for (Manifest.ArrowFile file : ManifestReader.read(folder).files()) {
            int width = file.dtype().width();
            Path path = folder.resolve(file.path());
            try (RootAllocator allocator = new RootAllocator();
                    FileChannel channel = FileChannel.open(path);
                    ArrowFileReader reader = new ArrowFileReader(channel, allocator)) {
                Field column = reader.getVectorSchemaRoot().getSchema().findField("values");
                if (width != 2 && width != 4) {
                    assertThat(column.getChildren()).isEmpty();
                    continue;
                }
                structs++;
                assertThat(column.getType()).isEqualTo(ArrowType.Struct.INSTANCE);
                assertThat(column.getChildren())
                        .extracting(Field::getName)
                        .containsExactlyElementsOf(
                                List.of("byte0", "byte1", "byte2", "byte3").subList(0, width));
                assertThat(column.getChildren())
                        .extracting(Field::getType)
                        .containsOnly(new ArrowType.Int(8, false));
                for (Place place : places(reader, path)) {
                    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                    for (Stored batch : stored(reader, channel, allocator, place)) {
                        byte[] elements = new byte[batch.rows() * width];
                        for (int p = 0; p < width; p++) {
                            byte[] plane = values(batch.buffers().get(2 + 2 * p));
                            for (int k = 0; k < batch.rows(); k++) {
                                elements[k * width + p] = plane[k];
                            }
                        }
                        bytes.writeBytes(elements);
                    }
                    assertThat(bytes.toByteArray())
                            .isEqualTo(tensors.get(place.name(), file.state()));
                }
            }
        }
        assertThat(structs).as("files of structs").isPositive();
    }

    /// @param buffers as they lie in the file
    private record Stored(int rows, List<byte[]> buffers) {}

    /// The compressed batches of a tensor, as Arrow takes them apart.
    private static List<Stored> stored(
            ArrowFileReader reader, FileChannel channel, RootAllocator allocator, Place place)
            throws IOException {
        List<Stored> batches = new ArrayList<>();
        for (int b = 0; b < place.batches(); b++) {
            ArrowBlock block = reader.getRecordBlocks().get(place.batch() + b);
            channel.position(block.getOffset());
            try (ArrowRecordBatch batch =
                    MessageSerializer.deserializeRecordBatch(
                            new ReadChannel(channel), block, allocator)) {
                assertThat(batch.getBodyCompression().getCodec()).isEqualTo(CompressionType.ZSTD);
                batches.add(
                        new Stored(
                                batch.getLength(),
                                batch.getBuffers().stream().map(ArrowJavaTest::bytes).toList()));
            }
        }
        return batches;
    }

    private static byte[] bytes(ArrowBuf buffer) {
        byte[] bytes = new byte[(int) buffer.readableBytes()];
        buffer.getBytes(0, bytes);
        return bytes;
    }

    private static long first(byte[] stored) {
        return ByteBuffer.wrap(stored).order(ByteOrder.LITTLE_ENDIAN).getLong();
    }

    private static byte[] values(byte[] stored) {
        if (stored.length == 0) {
            return stored;
        }
        byte[] frame = Arrays.copyOfRange(stored, 8, stored.length);
        return first(stored) == -1 ? frame : Zstd.decompress(frame, (int) first(stored));
    }

    @Test
    void aParameterOfNoStatesHasNoBatches() throws IOException {
        write("none");
        ParameterFacts facts = Samples.whole(Samples.index(folder), "no states").facts();
        assertThat(facts.states()).isEmpty();
    }
}
