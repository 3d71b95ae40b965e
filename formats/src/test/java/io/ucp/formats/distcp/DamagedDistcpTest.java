package io.ucp.formats.distcp;

import static io.ucp.formats.distcp.SmallCheckpoint.chunk;
import static io.ucp.formats.distcp.SmallCheckpoint.path;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// One checkpoint that breaks it for each rule.
class DamagedDistcpTest {
    private static final Shape SHAPE = Shape.of(4, 6);
    private static final List<String> KEY = path("model", "w");

    @TempDir Path folder;

    private SmallCheckpoint halves() throws IOException {
        return new SmallCheckpoint(folder)
                .tensor(KEY, SHAPE, chunk(List.of(0L, 0L), 2, 6), chunk(List.of(2L, 0L), 2, 6));
    }

    private AbstractThrowableAssert<?, ?> opening() {
        return assertThatThrownBy(() -> ItemReader.open(folder, DistcpMetadata.read(folder)))
                .isInstanceOf(MalformedFileException.class);
    }

    private static StateDictEntry entry(DistcpMetadata metadata, String key) {
        return Optional.ofNullable(metadata.entries().get(key)).orElseThrow();
    }

    /// The checkpoint of one attribute set anew.
    private static PyObject with(PickleValue object, String name, PickleValue value) {
        PyObject instance = (PyObject) object;
        return instance.withState(instance.attributes().orElseThrow().with(name, value));
    }

    @Test
    void whatIsWholeOpens() throws IOException {
        halves().object(path("step"), PyInt.of(3)).write();
        DistcpMetadata metadata = DistcpMetadata.read(folder);
        ItemReader items = ItemReader.open(folder, metadata);
        OfTensor tensor = (OfTensor) entry(metadata, "model.w");
        assertThat(tensor.shape()).isEqualTo(SHAPE);
        Place second = tensor.chunks().get(1).place();
        assertThat(items.tensor(second).shape()).isEqualTo(Shape.of(2, 6));
        assertThat(items.tensor(second).offset() % 64).isZero();
        assertThat(metadata.entries())
                .isEqualTo(halves().object(path("step"), PyInt.of(3)).metadata().entries());
    }

    @Test
    void aFileThatIsCutShort() throws IOException {
        halves().write();
        try (RandomAccessFile file =
                new RandomAccessFile(folder.resolve("__1_0.distcp").toFile(), "rw")) {
            file.setLength(file.length() - 1);
        }
        opening()
                .hasMessageContaining("__1_0.distcp at byte 0")
                .hasMessageContaining("'model.w' at [2, 0]")
                .hasMessageContaining("expected it inside the file");
    }

    @Test
    void aFileThatIsMissing() throws IOException {
        halves().write();
        Files.delete(folder.resolve("__1_0.distcp"));
        opening()
                .hasMessageContaining(".metadata")
                .hasMessageContaining("__1_0.distcp, which is not there");
    }

    @Test
    void aClassThatMustNotRun() throws IOException {
        PyObject call = PyObject.call(new PyGlobal("os", "system"), PyText.of("touch x"));
        halves().write(
                        with(
                                halves().metadata().tree(),
                                "planner_data",
                                PyDict.of(List.of(new PyDict.Entry(PyText.of("a"), call)))));
        opening()
                .hasMessageContaining("calls os.system")
                .hasMessageContaining("nothing was run here");
    }

    @Test
    void aClassThatIsNotTorchs() throws IOException {
        halves().write(
                        PyObject.instance(new PyGlobal("evil", "Metadata"))
                                .withState(PyDict.empty()));
        opening()
                .hasMessageContaining(
                        "a pickle of evil.Metadata(..); expected torch's checkpoint Metadata");
    }

    @Test
    void noPickleAtAll() throws IOException {
        halves().write();
        Files.writeString(folder.resolve(".metadata"), "{}");
        opening().hasMessageContaining(".metadata at byte");
    }

    @Test
    void chunksThatOverlap() throws IOException {
        new SmallCheckpoint(folder)
                .tensor(KEY, SHAPE, chunk(List.of(0L, 0L), 3, 6), chunk(List.of(2L, 0L), 2, 6))
                .write();
        opening().hasMessageContaining("the chunks [0, 0] + [3, 6] and [2, 0] + [2, 6] overlap");
    }

    @Test
    void chunksThatLeaveAHole() throws IOException {
        new SmallCheckpoint(folder)
                .tensor(KEY, SHAPE, chunk(List.of(0L, 0L), 1, 6), chunk(List.of(2L, 0L), 2, 6))
                .write();
        opening().hasMessageContaining("its 2 chunks hold 18 of 24 elements");
    }

    @Test
    void aChunkThatReachesOut() throws IOException {
        new SmallCheckpoint(folder)
                .tensor(KEY, SHAPE, chunk(List.of(0L, 0L), 2, 6), chunk(List.of(2L, 1L), 2, 6))
                .write();
        opening().hasMessageContaining("the chunk [2, 1] + [2, 6] reaches past its end");
    }

    @Test
    void aChunkOfOtherDims() throws IOException {
        new SmallCheckpoint(folder).tensor(KEY, SHAPE, chunk(List.of(0L), 24)).write();
        opening().hasMessageContaining("expected 2 dims, as its shape [4, 6] has");
    }

    @Test
    void aChunkGivenTwice() throws IOException {
        Chunk half = chunk(List.of(0L, 0L), 2, 6);
        new SmallCheckpoint(folder).tensor(KEY, SHAPE, half, half).write();
        opening().hasMessageContaining("storage_data places 'model.w' at [0, 0] twice");
    }

    @Test
    void aChunkWithoutPlace() throws IOException {
        halves().write(with(halves().metadata().tree(), "storage_data", PyDict.empty()));
        opening().hasMessageContaining("storage_data has no place for 'model.w' at [0, 0]");
    }

    @Test
    void aPlaceWithoutChunk() throws IOException {
        halves().write(with(halves().metadata().tree(), "state_dict_metadata", PyDict.empty()));
        opening().hasMessageContaining("storage_data places 'model.w' at [");
    }

    @Test
    void anItemOfAnotherShape() throws IOException {
        SmallCheckpoint made = new SmallCheckpoint(folder);
        Place place = made.item("__0_0.distcp", Shape.of(6, 4));
        made.entry(KEY, stored(DType.FLOAT32, place)).write();
        opening()
                .hasMessageContaining("__0_0.distcp at byte 0")
                .hasMessageContaining("holds a tensor float32 [6, 4]; expected shape [4, 6]");
    }

    @Test
    void anItemOfAnotherDtype() throws IOException {
        SmallCheckpoint made = new SmallCheckpoint(folder);
        Place place = made.item("__0_0.distcp", SHAPE);
        made.entry(KEY, stored(DType.BFLOAT16, place)).write();
        opening().hasMessageContaining("holds a tensor float32 [4, 6]; expected bfloat16");
    }

    private static OfTensor stored(DType dtype, Place place) {
        return new OfTensor(dtype, SHAPE, false, List.of(new Stored(Chunk.whole(SHAPE), place)));
    }

    @Test
    void anObjectWhereATensorShouldBe() throws IOException {
        SmallCheckpoint made = new SmallCheckpoint(folder).object(path("o"), PyInt.of(1));
        Place place = ((StateDictEntry.OfObject) entry(made.metadata(), "o")).place();
        new SmallCheckpoint(folder).object(path("o"), PyInt.of(1)).write();
        SmallCheckpoint other = new SmallCheckpoint(folder);
        other.entry(KEY, stored(DType.FLOAT32, place)).write();
        opening().hasMessageContaining("expected a tensor, as .metadata says");
    }

    @Test
    void itemsThatShareBytes() throws IOException {
        SmallCheckpoint made = new SmallCheckpoint(folder);
        Place place = made.item("__0_0.distcp", SHAPE);
        made.entry(KEY, stored(DType.FLOAT32, place));
        Place inside = new Place(place.file(), place.offset() + 64, place.length() - 64);
        made.entry(path("v"), stored(DType.FLOAT32, inside)).write();
        opening().hasMessageContaining("begins inside the item before it");
    }

    @Test
    void oneItemOfTensorsThatAreNotEqual() throws IOException {
        SmallCheckpoint made = new SmallCheckpoint(folder);
        Place place = made.item("__0_0.distcp", SHAPE);
        made.entry(KEY, stored(DType.FLOAT32, place));
        made.entry(path("v"), stored(DType.INT32, place)).write();
        opening().hasMessageContaining("begins inside the item before it");
    }

    @Test
    void aPlaceOutsideOfTheFolder() throws IOException {
        SmallCheckpoint made = new SmallCheckpoint(folder);
        made.entry(KEY, stored(DType.FLOAT32, new Place("../x.distcp", 0, 10))).write();
        opening()
                .hasMessageContaining(
                        "is in '../x.distcp'; expected a file of the checkpoint's folder");
    }

    @Test
    void anOffsetThatIsNegative() throws IOException {
        SmallCheckpoint made = new SmallCheckpoint(folder);
        made.entry(KEY, stored(DType.FLOAT32, new Place("__0_0.distcp", -1, 10))).write();
        opening().hasMessageContaining("has the offset -1; expected 0 or more");
    }

    @Test
    void anItemThatEndsPastAnyNumber() throws IOException {
        SmallCheckpoint made = new SmallCheckpoint(folder);
        made.entry(KEY, stored(DType.FLOAT32, new Place("__0_0.distcp", 1, Long.MAX_VALUE)))
                .write();
        opening().hasMessageContaining("ends past 2^63 bytes");
    }

    @Test
    void itemsThatWentThroughATransform() throws IOException {
        PickleValue tree = halves().metadata().tree();
        PyDict storage =
                ((PyObject) tree)
                        .attributes()
                        .orElseThrow()
                        .find("storage_data")
                        .orElseThrow()
                        .asDict()
                        .orElseThrow();
        PyDict changed =
                PyDict.of(
                        storage.entries().stream()
                                .map(
                                        e ->
                                                new PyDict.Entry(
                                                        e.key(),
                                                        with(
                                                                e.value(),
                                                                "transform_descriptors",
                                                                PyList.of(PyText.of("zstd")))))
                                .toList());
        halves().write(with(tree, "storage_data", changed));
        opening().hasMessageContaining("was written through a transform");
    }

    @Test
    void aDtypeThatIsNotKnown() throws IOException {
        opened("torch", "float99")
                .hasMessageContaining(
                        "'model.w' of dtype torch.float99; expected a dtype of torch");
    }

    private AbstractThrowableAssert<?, ?> opened(String module, String dtype) throws IOException {
        halves().write();
        byte[] pickle = Files.readAllBytes(folder.resolve(".metadata"));
        String text = new String(pickle, java.nio.charset.StandardCharsets.ISO_8859_1);
        Files.write(
                folder.resolve(".metadata"),
                text.replace("ctorch\nfloat32\n", "c%s\n%s\n".formatted(module, dtype))
                        .getBytes(java.nio.charset.StandardCharsets.ISO_8859_1));
        return opening();
    }

    @Test
    void aTensorWithoutChunks() throws IOException {
        Shape wide = Shape.of(1L << 40);
        SmallCheckpoint made = new SmallCheckpoint(folder);
        made.entry(KEY, new OfTensor(DType.FLOAT32, wide, false, List.of())).write();
        opening().hasMessageContaining("its 0 chunks hold 0 of 1099511627776 elements");
    }

    @Test
    void aFlippedBitIsFound() throws IOException {
        halves().write();
        DistcpMetadata metadata = DistcpMetadata.read(folder);
        assertThat(ItemReader.damage(folder)).isEmpty();
        OfTensor tensor = (OfTensor) entry(metadata, "model.w");
        long at = ItemReader.open(folder, metadata).tensor(tensor.chunks().get(1).place()).offset();
        try (RandomAccessFile file =
                new RandomAccessFile(folder.resolve("__1_0.distcp").toFile(), "rw")) {
            file.seek(at + 5);
            file.write(99);
        }
        assertThat(ItemReader.damage(folder))
                .singleElement()
                .satisfies(found -> assertThat(found.message()).contains("has the CRC-32"));
    }

    @Test
    void metadataIsReadAsItWasWritten() throws IOException {
        halves().write();
        DistcpMetadata read = DistcpMetadata.read(folder);
        assertThat(PickleWriter.write(read.tree()))
                .isEqualTo(Files.readAllBytes(folder.resolve(".metadata")));
        assertThat(
                        read.planner()
                                .flatMap(p -> p.find("model.w"))
                                .flatMap(PickleValue::asSequence)
                                .map(List::size))
                .isEqualTo(Optional.of(2));
    }
}
