package io.ucp.formats.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyPersistent;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.io.Checksummed;
import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.Stream;

class TorchFileTest {
    @TempDir Path folder;

    private TorchFile file(PickleValue tree, SequencedMap<String, byte[]> storages)
            throws IOException {
        Path path = folder.resolve("t.pt");
        TorchWriter.write(path, tree, storages);
        return TorchFile.open(path);
    }

    private static PickleValue view(
            DType dtype, Shape shape, long[] strides, long offset, long storageSize) {
        return TensorPickles.write(
                TorchTensor.view(dtype, shape, strides, "0", offset, storageSize));
    }

    /// By torch 2.14 after `torch.serialization.set_crc32_options(False)`.
    @Test
    void anArchiveWithoutChecksumsIsIndexed() throws IOException {
        TorchFile file = TorchFile.open(SmallTorchFiles.writtenByTorch(folder, "without-crc.pt"));
        TorchTensor b = file.tensor(file.tree().find("b.weight").orElseThrow()).orElseThrow();
        assertThat(b.shape()).isEqualTo(Shape.of(5));
        for (TorchRecord record : file.records()) {
            assertThat(record.crc()).isEmpty();
            file.verifyCrc(record);
        }
        assertThat(TorchFile.checksums(file.source(), 0, file.source().size())).isEmpty();
    }

    @Test
    void theChecksumsOfAnArchiveAreFoundWithoutItsPickle() throws IOException {
        TorchFile file = TorchFile.open(SmallTorchFiles.oneTensor(folder));
        TorchRecord storage = file.storage("0").orElseThrow();
        assertThat(TorchFile.checksums(file.source(), 0, file.source().size()))
                .hasSize(file.records().size())
                .contains(
                        new Checksummed(
                                file.source(),
                                storage.name(),
                                storage.offset(),
                                24,
                                storage.crc().getAsInt()));
    }

    @Test
    void whatIsNoArchiveHasNoChecksums() throws IOException {
        for (String text : new String[] {"", "PK", "no zip at all", "PK\3\4 and then not"}) {
            PlainFile file = PlainFile.of(Files.writeString(folder.resolve("other"), text));
            assertThat(TorchFile.checksums(file, 0, file.size())).isEmpty();
        }
    }

    @Test
    void aFileOfTorchsIsIndexed() throws IOException {
        TorchFile file = TorchFile.open(SmallTorchFiles.writtenByTorch(folder, "state.pt"));
        assertThat(file.root()).isEqualTo("layer_06-model_00-model_states");
        assertThat(file.version()).contains("3");
        TorchTensor bias = file.tensor(file.tree().find("bias").orElseThrow()).orElseThrow();
        assertThat(bias.dtype()).isEqualTo(DType.BFLOAT16);
        assertThat(bias.shape()).isEqualTo(Shape.of(64));
        assertThat(bias.isContiguous()).isTrue();
        assertThat(file.position(bias) % 64).isZero();
        for (TorchRecord record : file.records()) {
            file.verifyCrc(record);
        }
    }

    @ParameterizedTest
    @EnumSource(DType.class)
    void everyDtypeIsReadAsItWasWritten(DType dtype) throws IOException {
        int size = 6 * dtype.width();
        PickleValue tree = SmallTorchFiles.tensor(dtype, "0", 2, 3);
        TorchFile file = file(tree, SmallTorchFiles.storages(size));
        TorchTensor tensor = file.tensor(file.tree()).orElseThrow();
        assertThat(tensor.dtype()).isEqualTo(dtype);
        assertThat(tensor.shape()).isEqualTo(Shape.of(2, 3));
        assertThat(tensor.size()).isEqualTo(size);
        assertThat(tensor.location()).isEqualTo("cpu");
        assertThat(tensor.requiresGrad()).isFalse();
    }

    @Test
    void viewsMaySkipOverlapAndShareAStorage() throws IOException {
        SequencedMap<String, PickleValue> views = new LinkedHashMap<>();
        Shape shape = Shape.of(2, 2);
        views.put("transposed", view(DType.INT16, shape, new long[] {1, 2}, 0, 40));
        views.put("late", view(DType.INT16, shape, new long[] {2, 1}, 16, 40));
        views.put("expanded", view(DType.INT16, Shape.of(1000, 2), new long[] {0, 1}, 3, 40));
        views.put("empty", view(DType.INT16, Shape.of(0, 9), new long[] {9, 1}, 20, 40));
        TorchFile file = file(PyDict.of(views), SmallTorchFiles.storages(40));
        TorchTensor transposed =
                file.tensor(file.tree().find("transposed").orElseThrow()).orElseThrow();
        TorchTensor late = file.tensor(file.tree().find("late").orElseThrow()).orElseThrow();
        assertThat(transposed.isContiguous()).isFalse();
        assertThat(transposed.extent()).isEqualTo(4);
        assertThat(late.isContiguous()).isTrue();
        assertThat(file.position(late)).isEqualTo(file.position(transposed) + 32);
        assertThat(file.tensor(file.tree().find("expanded").orElseThrow())).isPresent();
        assertThat(file.tensor(file.tree().find("empty").orElseThrow())).isPresent();
    }

    @Test
    void aTensorOutsideOfItsStorageIsRefused() throws IOException {
        PickleValue late = view(DType.INT16, Shape.of(2, 2), new long[] {2, 1}, 17, 40);
        assertThatExceptionOfType(MalformedFileException.class)
                .isThrownBy(() -> file(late, SmallTorchFiles.storages(40)))
                .withMessageContaining("int16 [2, 2] at element 17 of storage '0'");
        PickleValue wide = view(DType.INT16, Shape.of(2, 2), new long[] {Long.MAX_VALUE, 9}, 1, 40);
        assertThatExceptionOfType(MalformedFileException.class)
                .isThrownBy(() -> file(wide, SmallTorchFiles.storages(40)))
                .withMessageContaining("does not fit in 64 bits");
    }

    @Test
    void aStorageOfAnotherSizeThanItsRecordIsRefused() {
        PickleValue tensor = SmallTorchFiles.tensor(DType.INT64, "0", 5);
        assertThatExceptionOfType(MalformedFileException.class)
                .isThrownBy(() -> file(tensor, SmallTorchFiles.storages(41)))
                .withMessageContaining("storage '0' of 40 bytes; expected 41 bytes");
        assertThatExceptionOfType(MalformedFileException.class)
                .isThrownBy(() -> file(tensor, SmallTorchFiles.storages()))
                .withMessageContaining("the record 't/data/0', which is not there");
    }

    @Test
    void parametersAndTensorsWithAttributesAreTheTensorInside() throws IOException {
        PyObject plain = (PyObject) SmallTorchFiles.tensor(DType.FLOAT32, "0", 3);
        PickleValue hooks = PyObject.call(new PyGlobal("collections", "OrderedDict"));
        PickleValue parameter =
                PyObject.call(
                        new PyGlobal("torch._utils", "_rebuild_parameter"),
                        plain,
                        new PyBool(true),
                        hooks);
        PickleValue withAttributes =
                PyObject.call(
                        new PyGlobal("torch._tensor", "_rebuild_from_type_v2"),
                        plain.callable(),
                        new PyGlobal("torch", "Tensor"),
                        plain.arguments(),
                        PyDict.of(Map.of("ds_id", PyInt.of(7))));
        TorchFile file = file(PyList.of(parameter, withAttributes), SmallTorchFiles.storages(12));
        var both = file.tree().asSequence().orElseThrow();
        assertThat(file.tensor(both.get(0)).orElseThrow().requiresGrad()).isTrue();
        assertThat(file.tensor(both.get(1)).orElseThrow().shape()).isEqualTo(Shape.of(3));
    }

    @Test
    void aTensorWhoseBytesAreNotItsValuesIsOpaque() throws IOException {
        PyObject plain = (PyObject) SmallTorchFiles.tensor(DType.COMPLEX64, "0", 3);
        var arguments = new ArrayList<>(((PyTuple) plain.arguments()).elements());
        arguments.add(PyDict.of(Map.of("conj", new PyBool(true))));
        PickleValue conjugated =
                PyObject.call(plain.callable(), arguments.toArray(PickleValue[]::new));
        TorchFile file = file(conjugated, SmallTorchFiles.storages(24));
        assertThat(file.tensor(file.tree())).isEmpty();
        assertThat(file.tree()).isInstanceOf(PyObject.class);
    }

    /// Its scale and zero point would be lost.
    @Test
    void aQuantizedTensorIsOpaque() throws IOException {
        PyTuple plain =
                (PyTuple) ((PyObject) SmallTorchFiles.tensor(DType.QINT8, "0", 3)).arguments();
        var arguments = new ArrayList<>(plain.elements());
        arguments.add(4, PyTuple.of(new PyGlobal("torch", "per_tensor_affine"), PyInt.of(2)));
        PickleValue quantized =
                PyObject.call(
                        new PyGlobal("torch._utils", "_rebuild_qtensor"),
                        arguments.toArray(PickleValue[]::new));
        TorchFile file = file(quantized, SmallTorchFiles.storages(3));
        assertThat(file.tensor(file.tree())).isEmpty();
        assertThat(TensorPickles.opaque(file.tree())).contains("_rebuild_qtensor");
        assertThat(PickleWriter.write(file.tree())).isEqualTo(PickleWriter.write(quantized));
    }

    @Test
    void otherRebuildCallsAndOtherPersistentIdsAreCarried() throws IOException {
        PickleValue meta =
                PyObject.call(
                        new PyGlobal("torch._utils", "_rebuild_meta_tensor_no_storage"),
                        new PyGlobal("torch", "float32"),
                        PyTuple.of(PyInt.of(1)));
        PickleValue outside = PyPersistent.of(PyTuple.of(PyText.of("module"), PyNone.NONE));
        TorchFile file = file(PyList.of(meta, outside), SmallTorchFiles.storages());
        for (PickleValue node : file.tree().asSequence().orElseThrow()) {
            assertThat(file.tensor(node)).isEmpty();
        }
    }

    @Test
    void anItemInsideALargerFileIsOpenedAtItsOffset() throws IOException {
        byte[] item = Files.readAllBytes(SmallTorchFiles.oneTensor(folder));
        ByteBuffer whole = ByteBuffer.allocate(100 + item.length + 50);
        whole.put(100, item);
        Path path = Files.write(folder.resolve("__0_0.distcp"), whole.array());
        TorchFile file = TorchFile.open(PlainFile.of(path), 100, item.length);
        TorchTensor tensor = file.tensor(file.tree().find("w").orElseThrow()).orElseThrow();
        long position = file.position(tensor);
        assertThat((position - 100) % 64).isZero();
        assertThat(whole.array()[(int) position + 5]).isEqualTo((byte) 5);
        file.verifyCrc(file.storage("0").orElseThrow());
    }

    @Test
    void aFlippedByteInATensorIsFoundByItsChecksum() throws IOException {
        Path path = SmallTorchFiles.oneTensor(folder);
        TorchRecord record = TorchFile.open(path).storage("0").orElseThrow();
        byte[] bytes = Files.readAllBytes(path);
        bytes[(int) record.offset()] ^= 1;
        Files.write(path, bytes);
        TorchFile file = TorchFile.open(path);
        assertThatExceptionOfType(MalformedFileException.class)
                .isThrownBy(() -> file.verifyCrc(record))
                .withMessageContaining("'one/data/0' has the CRC-32")
                .satisfies(e -> assertThat(e.offset()).isEqualTo(record.offset()));
    }

    @ParameterizedTest
    @CsvSource({"os, system", "posix, system", "subprocess, Popen", "builtins, eval"})
    void aPickleThatWouldRunSomethingIsRefusedAndNotRun(String module, String name) {
        PickleValue call =
                PyObject.call(new PyGlobal(module, name), PyText.of("touch " + folder + "/pwned"));
        assertThatExceptionOfType(MalformedFileException.class)
                .isThrownBy(() -> file(call, SmallTorchFiles.storages()))
                .withMessageContaining("its pickle calls " + module + "." + name)
                .withMessageContaining("nothing was run here");
        assertThat(folder.resolve("pwned")).doesNotExist();
    }

    /// How calls are reached without being called in the pickle itself.
    static Stream<Arguments> namedOnly() {
        PyGlobal system = new PyGlobal("os", "system");
        PyGlobal getattr = new PyGlobal("__builtin__", "getattr");
        PyGlobal logging = new PyGlobal("logging", "os");
        PyText name = PyText.of("system");
        PickleValue map =
                PyObject.call(
                        new PyGlobal("__builtin__", "map"),
                        system,
                        PyList.of(PyText.of("touch x")));
        return Stream.of(
                Arguments.of(system, "names os.system"),
                Arguments.of(
                        PyObject.call(new PyGlobal("__builtin__", "list"), map), "names os.system"),
                Arguments.of(
                        PyObject.call(new PyGlobal("functools", "partial"), system),
                        "names os.system"),
                Arguments.of(
                        PyObject.call(new PyGlobal("collections", "defaultdict"), system),
                        "names os.system"),
                Arguments.of(
                        PyObject.instance(new PyGlobal("a", "B")).withState(system),
                        "names os.system"),
                Arguments.of(
                        PyObject.call(new PyGlobal("functools", "reduce"), getattr),
                        "calls functools.reduce"),
                Arguments.of(
                        PyObject.call(new PyGlobal("operator", "attrgetter"), name),
                        "calls operator.attrgetter"),
                Arguments.of(PyObject.call(getattr, logging, name), "names logging.os"),
                Arguments.of(
                        PyObject.call(getattr, new PyGlobal("a", "B"), PyText.of("__globals__")),
                        "calls __builtin__.getattr"),
                Arguments.of(
                        PyObject.call(new PyGlobal("logging", "os.system"), name),
                        "names logging.os"));
    }

    @ParameterizedTest
    @MethodSource("namedOnly")
    void aPickleThatHandsACallToAnotherIsRefused(PickleValue tree, String message) {
        assertThatExceptionOfType(MalformedFileException.class)
                .isThrownBy(() -> file(tree, SmallTorchFiles.storages()))
                .withMessageContaining("its pickle " + message)
                .withMessageContaining("nothing was run here");
    }

    @Test
    void aNameInAClassAndAPartialOfAFunctionAreOnlyATree() throws IOException {
        PickleValue member =
                PyObject.call(
                        new PyGlobal("__builtin__", "getattr"),
                        new PyGlobal("megatron.core.enums", "ModelType"),
                        PyText.of("encoder"));
        PickleValue partial =
                PyObject.call(
                        new PyGlobal("functools", "partial"),
                        new PyGlobal("torch.nn.init", "normal_"));
        PickleValue tree = PyList.of(member, partial);
        assertThat(PickleWriter.write(file(tree, SmallTorchFiles.storages()).tree()))
                .isEqualTo(PickleWriter.write(tree));
    }

    @Test
    void anUnknownClassIsOnlyATree() throws IOException {
        PickleValue call =
                PyObject.call(new PyGlobal("their.module", "Thing"), PyText.of("argument"));
        TorchFile file = file(call, SmallTorchFiles.storages());
        assertThat(PickleWriter.write(file.tree())).isEqualTo(PickleWriter.write(call));
    }

    @Test
    void aMissingFileIsPlainIo() {
        assertThatExceptionOfType(NoSuchFileException.class)
                .isThrownBy(() -> TorchFile.open(folder.resolve("none.pt")));
    }
}
