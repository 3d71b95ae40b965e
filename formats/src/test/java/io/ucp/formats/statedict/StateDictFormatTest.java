package io.ucp.formats.statedict;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.TorchWriter;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// What is taken for a state dict, and what of it is read.
class StateDictFormatTest {
    private static final Path RESOURCES = Path.of("src/test/resources/io/ucp/formats/statedict");

    private final StateDictFormat format = new StateDictFormat();

    @TempDir Path folder;

    private final LinkedHashMap<String, byte[]> storages = new LinkedHashMap<>();

    /// A float32 tensor in a storage of its own.
    private PickleValue tensor(long... dims) {
        String key = Integer.toString(storages.size());
        Shape shape = Shape.of(dims);
        storages.put(key, new byte[(int) shape.count() * 4]);
        return TensorPickles.write(TorchTensor.contiguous(DType.FLOAT32, shape, key));
    }

    private static PyDict dict(Object... keysAndValues) {
        LinkedHashMap<String, PickleValue> entries = new LinkedHashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            entries.put((String) keysAndValues[i], (PickleValue) keysAndValues[i + 1]);
        }
        return PyDict.of(entries);
    }

    private Path write(String name, PickleValue root) throws IOException {
        Path file = folder.resolve(name);
        Files.createDirectories(file.getParent());
        TorchWriter.write(file, root, storages);
        storages.clear();
        return file;
    }

    private CheckpointIndex read(Path path) throws IOException {
        List<Candidate> found = format.find(path);
        assertThat(found).hasSize(1);
        return format.index(found.getFirst());
    }

    private static List<String> names(CheckpointIndex index) {
        return index.wholes().stream().map(whole -> whole.facts().name()).toList();
    }

    private static ParameterFacts facts(CheckpointIndex index, String name) {
        return index.wholes().stream()
                .map(WholeParameter::facts)
                .filter(facts -> facts.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    // ---- what is found ----

    @ParameterizedTest
    @ValueSource(
            strings = {
                "mp_rank_00_model_states.pt",
                "zero_pp_rank_0_mp_rank_00_optim_states.pt",
                "layer_01-model_00-model_states.pt",
                "model_optim_rng.pt",
                "distrib_optim.pt",
                "__0_0.distcp",
                "common.pt",
                "optimizer_state.pt",
                "training_args.bin",
                "scheduler.pt",
                "rng_state_0.pth"
            })
    void filesOfFrameworksAndTrainersAreNone(String name) throws IOException {
        write(name, dict("w", tensor(2)));
        assertThat(format.find(folder)).isEmpty();
        assertThat(format.find(folder.resolve(name))).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {".metadata", "mp_rank_00_model_states.pt", "metadata.json"})
    void torchFilesBesideThoseOfAFrameworkAreNone(String other) throws IOException {
        write("extra.pt", dict("w", tensor(2)));
        Files.writeString(folder.resolve(other), "");
        assertThat(format.find(folder)).isEmpty();
        assertThat(format.find(folder.resolve("extra.pt"))).hasSize(1);
    }

    @Test
    void modelOfAFolderComesBeforeOtherTorchFiles() throws IOException {
        write("pytorch_model.bin", dict("a", tensor(2)));
        write("other.pt", dict("b", tensor(2)));
        assertThat(names(read(folder))).containsExactly("a");
    }

    @Test
    void severalTorchFilesAreToBeChosenFrom() throws IOException {
        write("a.pt", dict("a", tensor(2)));
        write("b.pth", dict("b", tensor(2)));
        assertThat(format.find(folder))
                .allMatch(c -> c.pointer().equals(CheckpointFormat.NO_POINTER))
                .extracting(Candidate::tag)
                .containsExactly("a", "b");
    }

    @Test
    void numberedPartsNeedNoIndexWhereAllAreThere() throws IOException {
        write("pytorch_model-00001-of-00002.bin", dict("a", tensor(2)));
        write("pytorch_model-00002-of-00002.bin", dict("b", tensor(2)));
        assertThat(names(read(folder))).containsExactly("a", "b");
        Files.delete(folder.resolve("pytorch_model-00001-of-00002.bin"));
        write("pytorch_model-00003-of-00003.bin", dict("c", tensor(2)));
        assertThatThrownBy(() -> read(folder))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("file 1 of 3 is not there");
    }

    @ParameterizedTest
    @CsvSource({
        "pytorch_model-00002-of-00002.bin, which is not there",
        "pytorch_model-00001-of-00002.bin, which does not hold it"
    })
    void indexThatNamesWhatIsNotThere(String file, String message) throws IOException {
        write("pytorch_model-00001-of-00002.bin", dict("a", tensor(2)));
        Files.writeString(
                folder.resolve("pytorch_model.bin.index.json"),
                "{\"weight_map\": {\"a\": \"pytorch_model-00001-of-00002.bin\", \"b\": \"%s\"}}"
                        .formatted(file));
        assertThatThrownBy(() -> read(folder))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("'b' in " + file + ", " + message);
    }

    @Test
    void tensorInTwoParts() throws IOException {
        write("pytorch_model-00001-of-00002.bin", dict("a", tensor(2)));
        write("pytorch_model-00002-of-00002.bin", dict("a", tensor(2)));
        assertThatThrownBy(() -> read(folder))
                .hasMessageContaining("'a', which pytorch_model-00001-of-00002.bin holds too");
    }

    @Test
    void onePartOfSeveralIsNoModelUnlessItIsNamed() throws IOException {
        Path part = write("pytorch_model-00001-of-00002.bin", dict("a", tensor(2)));
        assertThatThrownBy(() -> read(folder))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("file 2 of 2 is not there");
        assertThat(names(read(part))).containsExactly("a");
    }

    // ---- what is the state dict ----

    @ParameterizedTest
    @ValueSource(strings = {"model", "state_dict", "module", "model_state_dict"})
    void stateDictUnderItsKey(String key) throws IOException {
        Path file =
                write(
                        "x.pt",
                        dict(
                                key,
                                dict("a.w", tensor(2, 3)),
                                "epoch",
                                PyInt.of(4),
                                "step",
                                PyInt.of(9)));
        CheckpointIndex index = read(file);
        assertThat(names(index)).containsExactly("a.w");
        assertThat(index.iteration()).hasValue(9);
        assertThat(index.carried()).singleElement().matches(c -> c.role().equals("state_dict"));
    }

    @Test
    void stateDictByItselfIsNothingButItsForm() throws IOException {
        Path file = write("x.pt", dict("a.w", tensor(2, 3)));
        assertThat(read(file).carried()).singleElement().matches(c -> c.role().equals("form"));
    }

    @Test
    void dictsInsideJoinTheirKeys() throws IOException {
        Path file = write("x.pt", dict("model", dict("a", dict("b", tensor(2)), "c", tensor(1))));
        assertThat(names(read(file))).containsExactly("a.b", "c");
    }

    @Test
    void twoTensorsOfOneNameAreRefused() throws IOException {
        Path file = write("x.pt", dict("model", dict("a.b", tensor(2), "a", dict("b", tensor(2)))));
        assertThatThrownBy(() -> read(file))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("two tensors of the name 'a.b'");
    }

    /// Sixty levels of two would be more names than there are bytes to write them with.
    @Test
    void dictsThatShareDictsAreNotGoneIntoWithoutEnd() throws IOException {
        PyDict twice = dict();
        for (int level = 0; level < 60; level++) {
            twice = dict("l", twice, "r", twice);
        }
        Path file = write("x.pt", dict("model", dict("a", tensor(2), "b", twice)));
        assertThatThrownBy(() -> read(file))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("in more than 16 places");
    }

    /// A dense tensor and a call that makes another kind of it.
    private PyObject rebuilt(String call) {
        return PyObject.call(
                new PyGlobal("torch._utils", call),
                ((PyTuple) ((PyObject) tensor(2)).arguments())
                        .elements()
                        .toArray(PickleValue[]::new));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "_rebuild_sparse_tensor",
                "_rebuild_qtensor",
                "_rebuild_nested_tensor",
                "_rebuild_wrapper_subclass",
                "_rebuild_meta_tensor_no_storage"
            })
    void tensorOfAKindThatIsNotReadIsRefused(String call) throws IOException {
        Path flat = write("x.pt", dict("a", tensor(2), "b", rebuilt(call)));
        assertThatThrownBy(() -> read(flat))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("'b' is a tensor of a kind that is not read (" + call + ")")
                .hasMessageContaining(".dequantize()");
        Path inside = write("x.pt", dict("model", dict("a", tensor(2), "b", rebuilt(call))));
        assertThatThrownBy(() -> read(inside)).hasMessageContaining("'b' is a tensor of a kind");
    }

    @Test
    void viewWhoseBytesAreNotItsValuesIsRefused() throws IOException {
        PyObject plain = (PyObject) tensor(2);
        List<PickleValue> arguments = new ArrayList<>(((PyTuple) plain.arguments()).elements());
        arguments.add(PyDict.of(Map.of("neg", new PyBool(true))));
        PickleValue negated =
                PyObject.call(plain.callable(), arguments.toArray(PickleValue[]::new));
        Path file = write("x.pt", dict("a", tensor(2), "b", negated));
        assertThatThrownBy(() -> read(file)).hasMessageContaining("'b' is a tensor of a kind");
    }

    @Test
    void tensorsInsideOfObjectsAreToldAndTheFileIsMoreThanItsForm() throws IOException {
        PickleValue object =
                PyObject.instance(new PyGlobal("a", "B")).withState(dict("w", tensor(2)));
        Path file =
                write(
                        "x.pt",
                        dict(
                                "model",
                                dict("a", tensor(2), "b", object, "c", PyList.of(tensor(1)))));
        CheckpointIndex index = read(file);
        assertThat(names(index)).containsExactly("a");
        assertThat(index.carried()).singleElement().matches(c -> c.role().equals("state_dict"));
        assertThat(index.findings())
                .extracting(Finding::message)
                .anyMatch(m -> m.startsWith("'b' holds tensors that are not read as parameters"))
                .anyMatch(m -> m.startsWith("'c' holds tensors that are not read as parameters"));
    }

    @Test
    void twoStateDicts() throws IOException {
        Path file =
                write(
                        "x.pt",
                        dict(
                                "model", dict("a", tensor(2)),
                                "state_dict", dict("b", tensor(2))));
        assertThatThrownBy(() -> read(file))
                .isInstanceOf(MalformedFileException.class)
                .hasMessageContaining("several state dicts: model and state_dict");
    }

    @Test
    void weightsBesideAStateDict() throws IOException {
        Path file = write("x.pt", dict("model", dict("a", tensor(2)), "b", tensor(2)));
        assertThatThrownBy(() -> read(file))
                .hasMessageContaining("several state dicts: the file's own tensors and model");
    }

    @Test
    void fileWithoutTensors() throws IOException {
        Path file = write("x.pt", dict("a", PyInt.of(1)));
        assertThatThrownBy(() -> read(file)).hasMessageContaining("a dict without tensors");
        Path list = write("y.pt", PyList.of(PyInt.of(1)));
        assertThatThrownBy(() -> read(list)).hasMessageContaining("an object that is no dict");
    }

    @Test
    void tensorsUnderAnotherKey() throws IOException {
        Path file = write("x.pt", dict("ema", dict("a", tensor(2))));
        assertThatThrownBy(() -> read(file))
                .hasMessageContaining("a dict whose tensors lie deeper, under ema.a");
    }

    @Test
    void flatParametersOfFsdpAreRefused() throws IOException {
        Path file = write("x.pt", dict("layers.0._flat_param", tensor(20)));
        assertThatThrownBy(() -> read(file)).hasMessageContaining("FULL_STATE_DICT");
    }

    // ---- names ----

    @Test
    void partsOfWrappersAreLeftOutOfNames() throws IOException {
        Path file =
                write(
                        "x.pt",
                        dict(
                                "module._orig_mod.a._fsdp_wrapped_module.w", tensor(2),
                                "module._orig_mod.b._checkpoint_wrapped_module.module.w",
                                        tensor(2)));
        CheckpointIndex index = read(file);
        assertThat(names(index)).containsExactly("a.w", "b.module.w");
        assertThat(index.findings())
                .contains(
                        new Finding(
                                "x.pt",
                                "names are read without _checkpoint_wrapped_module.,"
                                        + " _fsdp_wrapped_module., _orig_mod., module., which"
                                        + " wrappers of modules put in them"));
    }

    @Test
    void moduleThatNotEveryNameBeginsWithIsAModule() throws IOException {
        Path file = write("x.pt", dict("module.w", tensor(2), "head.w", tensor(2)));
        assertThat(names(read(file))).containsExactly("module.w", "head.w");
    }

    @Test
    void namesThatBecomeOneAreRefused() throws IOException {
        Path file = write("x.pt", dict("a.w", tensor(2), "a._orig_mod.w", tensor(2)));
        assertThatThrownBy(() -> read(file))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("'a.w' and 'a._orig_mod.w' are both 'a.w' without _orig_mod");
    }

    @Test
    void tensorsOfTheSameElementsAreOneParameter() throws IOException {
        PickleValue shared = tensor(4, 2);
        Path file = write("x.pt", dict("embed", shared, "head", shared, "other", tensor(4, 2)));
        CheckpointIndex index = read(file);
        assertThat(names(index)).containsExactly("embed", "other");
        assertThat(index.hints().aliases()).isEqualTo(Map.of("head", "embed"));
    }

    // ---- the optimizer ----

    @Test
    void statesAreBoundByNames() throws IOException {
        CheckpointIndex index = read(RESOURCES.resolve("named.pt"));
        assertThat(index.findings()).isEmpty();
        ParameterFacts facts = facts(index, "transformer.h.1.mlp.c_fc.weight");
        assertThat(facts.states()).containsOnlyKeys("weight", "exp_avg", "exp_avg_sq");
        assertThat(facts.scalars()).containsOnlyKeys("step");
        assertThat(facts.optimizerGroup()).isZero();
    }

    @Test
    void optimizerBesideThatCannotBeReadIsTakenAlongByItsBytes() throws IOException {
        write("pytorch_model.bin", dict("a", tensor(2)));
        Files.writeString(folder.resolve("optimizer.pt"), "no zip at all");
        CheckpointIndex index = read(folder);
        assertThat(names(index)).containsExactly("a");
        assertThat(index.findings())
                .singleElement()
                .matches(f -> f.place().equals("optimizer.pt"))
                .matches(f -> f.message().startsWith("taken along by its bytes"));
        assertThat(index.carried())
                .anyMatch(c -> c.path().equals("optimizer.pt") && c.file().isPresent());
    }

    @Test
    void statesAreBoundByOrderWhereEveryShapeAgrees() throws IOException {
        CheckpointIndex named = read(RESOURCES.resolve("named.pt"));
        CheckpointIndex ordered = read(RESOURCES.resolve("training.pt"));
        assertThat(ordered.findings().getFirst().message()).contains("bound by order");
        for (WholeParameter whole : named.wholes()) {
            assertThat(facts(ordered, whole.facts().name()).states())
                    .isEqualTo(whole.facts().states());
        }
    }

    private PyDict optimizer(PickleValue state, PickleValue... groups) {
        return dict("state", state, "param_groups", PyList.of(groups));
    }

    private static PyDict numbered(PickleValue... states) {
        List<PyDict.Entry> entries = new java.util.ArrayList<>();
        for (int i = 0; i < states.length; i++) {
            entries.add(new PyDict.Entry(PyInt.of(i), states[i]));
        }
        return PyDict.of(entries);
    }

    private void unbound(PyDict optimizer, String why) throws IOException {
        Path file =
                write(
                        "x.pt",
                        dict(
                                "model",
                                dict("a", tensor(2), "b", tensor(3)),
                                "optimizer",
                                optimizer));
        CheckpointIndex index = read(file);
        assertThat(facts(index, "a").states()).containsOnlyKeys("weight");
        assertThat(index.findings())
                .singleElement()
                .matches(f -> f.message().contains("carried, not bound"))
                .matches(f -> f.message().contains(why), why);
    }

    @Test
    void statesAreBoundByNamesThatDifferInWrappers() throws IOException {
        PyDict state = dict("module.a", dict("exp_avg", tensor(2)));
        PyDict group = dict("params", PyList.of(PyText.of("module.a")));
        Path file =
                write(
                        "x.pt",
                        dict(
                                "model",
                                dict("_orig_mod.a", tensor(2), "_orig_mod.b", tensor(3)),
                                "optimizer",
                                optimizer(state, group)));
        assertThat(facts(read(file), "a").states()).containsOnlyKeys("weight", "exp_avg");
    }

    @Test
    void statesWithoutProofAreCarried() throws IOException {
        PyDict both = dict("params", PyList.of(PyInt.of(0), PyInt.of(1)));
        PyDict first = dict("params", PyList.of(PyInt.of(0)));
        PyDict second = dict("params", PyList.of(PyInt.of(1)));
        unbound(
                optimizer(
                        numbered(dict("exp_avg", tensor(2)), dict("exp_avg", tensor(3))),
                        first,
                        second),
                "2 param_groups without param_names");
        unbound(
                optimizer(numbered(dict("exp_avg", tensor(2))), first),
                "it has 1 parameters and the model 2");
        unbound(
                optimizer(numbered(dict("exp_avg", tensor(3)), dict("exp_avg", tensor(2))), both),
                "number 0 has not the shape [2] of 'a'");
        unbound(
                optimizer(
                        dict("c", dict("exp_avg", tensor(2))),
                        dict("params", PyList.of(PyText.of("c")))),
                "'c' is no parameter of the model");
        unbound(
                optimizer(
                        dict("a", dict("m", tensor(2)), "_orig_mod.a", dict("m", tensor(2))),
                        dict("params", PyList.of(PyText.of("a")))),
                "two of them are of 'a'");
        unbound(
                optimizer(
                        dict("a", dict("row", tensor(7))),
                        dict("params", PyList.of(PyText.of("a")))),
                "'row' of 'a' is neither of the parameter's shape [2] nor a number");
    }
}
