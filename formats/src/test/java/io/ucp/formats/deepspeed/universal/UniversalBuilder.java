package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.TorchWriter;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SequencedMap;

/// Writes small universal folders, a file at a time, as upstream's converter would.
final class UniversalBuilder {
    static final List<String> ADAM = List.of("fp32", "exp_avg", "exp_avg_sq");

    final Path root;
    final Path folder;

    UniversalBuilder(Path root) throws IOException {
        this.root = root;
        this.folder = root.resolve("global_step7_universal");
        Files.createDirectories(folder.resolve("zero"));
        Files.writeString(root.resolve("latest_universal"), "global_step7_universal");
    }

    /// A parameter of stages 1 and 2, with `keys` before its tensor.
    UniversalBuilder parameter(String name, Shape shape, Object... keys) throws IOException {
        for (String state : ADAM) {
            state(name, state, shape, keys);
        }
        return step(name);
    }

    UniversalBuilder state(String name, String state, Shape shape, Object... keys)
            throws IOException {
        Map<String, PickleValue> dict = new LinkedHashMap<>(map(keys));
        dict.put("param", tensor(DType.FLOAT32, shape, "0", state.equals("fp32")));
        write(path(name, state), PyDict.of(dict), bytes(name + state, shape, DType.FLOAT32));
        return this;
    }

    UniversalBuilder step(String name) throws IOException {
        write(
                path(name, "step"),
                tensor(DType.FLOAT32, Shape.of(), "0", false),
                new byte[] {0, 0, (byte) 0xe0, 0x40});
        return this;
    }

    /// A parameter of stage 3: bare and flat.
    UniversalBuilder flat(String name, long count) throws IOException {
        Shape shape = Shape.of(count);
        for (String state : ADAM) {
            write(
                    path(name, state),
                    tensor(DType.FLOAT32, shape, "0", state.equals("fp32")),
                    bytes(name + state, shape, DType.FLOAT32));
        }
        return this;
    }

    Path path(String name, String state) throws IOException {
        Path parameter = folder.resolve("zero").resolve(name);
        Files.createDirectories(parameter);
        return parameter.resolve(state + ".pt");
    }

    UniversalBuilder optimizerState(int stage) throws IOException {
        PickleValue enumerated =
                PyObject.call(
                        new PyGlobal("deepspeed.runtime.zero.config", "ZeroStageEnum"),
                        PyInt.of(stage));
        write(
                folder.resolve("zero/optimizer_state.pt"),
                PyDict.of(
                        map(
                                "overflow",
                                new PyBool(false),
                                "zero_stage",
                                enumerated,
                                "ds_version",
                                PyText.of("0.19.0"),
                                "param_groups",
                                groups())));
        return this;
    }

    /// Rank 0's whole dict: two sub-groups of one optimizer group.
    UniversalBuilder optimizerState3(long... shards) throws IOException {
        SequencedMap<String, byte[]> storages = new LinkedHashMap<>();
        PyDict state = PyDict.empty();
        List<PickleValue> subGroups = new java.util.ArrayList<>();
        for (int i = 0; i < shards.length; i++) {
            subGroups.add(PyInt.of(i));
            Shape shape = Shape.of(shards[i]);
            state =
                    state.with(
                            PyInt.of(i),
                            PyDict.of(
                                    map(
                                            "step", held(storages, Shape.of()),
                                            "exp_avg", held(storages, shape))));
        }
        PyList paramGroups =
                PyList.of(PyDict.of(map("lr", new PyFloat(0.1), "params", PyList.of(subGroups))));
        PickleValue inner = PyDict.of(map("state", state, "param_groups", paramGroups));
        TorchWriter.write(
                folder.resolve("zero/optimizer_state.pt"),
                PyDict.of(
                        map(
                                "zero_stage", PyInt.of(3),
                                "optimizer_state_dict", inner,
                                "param_groups", paramGroups)),
                storages);
        return this;
    }

    private static PickleValue held(Map<String, byte[]> storages, Shape shape) {
        String key = Integer.toString(storages.size());
        storages.put(key, bytes(key, shape, DType.FLOAT32));
        return tensor(DType.FLOAT32, shape, key, false);
    }

    static PyList groups() {
        return PyList.of(PyDict.of(map("lr", new PyFloat(0.1), "params", PyList.of(PyInt.of(0)))));
    }

    /// @param more keys that replace or follow the usual ones
    UniversalBuilder modelStates(String file, int stage, int dp, int pp, int tp, Object... more)
            throws IOException {
        return modelStates(file, new LinkedHashMap<>(), stage, dp, pp, tp, more);
    }

    UniversalBuilder modelStates(
            String file,
            SequencedMap<String, byte[]> storages,
            int stage,
            int dp,
            int pp,
            int tp,
            Object... more)
            throws IOException {
        Map<String, PickleValue> keys =
                map(
                        "module", PyNone.NONE,
                        "buffer_names", PyList.of(),
                        "optimizer", PyNone.NONE,
                        "global_steps", PyInt.of(7),
                        "dp_world_size", PyInt.of(dp),
                        "mp_world_size", PyInt.of((long) pp * tp),
                        "checkpoint_parallel_dimensions",
                                PyDict.of(
                                        map("pp_degree", PyInt.of(pp), "tp_degree", PyInt.of(tp))),
                        "ds_config",
                                PyDict.of(
                                        map(
                                                "zero_optimization",
                                                PyDict.of(map("stage", PyInt.of(stage))))),
                        "ds_version", PyText.of("0.19.0"));
        keys.putAll(map(more));
        TorchWriter.write(folder.resolve(file), PyDict.of(keys), storages);
        return this;
    }

    /// `param_shapes` of one group: names and shapes in turn.
    static PyObject shapes(Object... namesAndShapes) {
        Map<String, PickleValue> all = new LinkedHashMap<>();
        for (int i = 0; i < namesAndShapes.length; i += 2) {
            all.put((String) namesAndShapes[i], size((Shape) namesAndShapes[i + 1]));
        }
        return PyObject.orderedDict(PyDict.of(all));
    }

    private static PickleValue size(Shape shape) {
        return PyObject.call(
                new PyGlobal("torch", "Size"),
                PyTuple.of(Arrays.stream(shape.dims()).mapToObj(PyInt::of).toList()));
    }

    static PickleValue tensor(DType dtype, Shape shape, String key, boolean grad) {
        return TensorPickles.write(TorchTensor.contiguous(dtype, shape, key).requiringGrad(grad));
    }

    /// The same bytes for the same seed.
    static byte[] bytes(String seed, Shape shape, DType dtype) {
        byte[] bytes = new byte[Math.toIntExact(shape.count() * dtype.width())];
        new Random(seed.hashCode()).nextBytes(bytes);
        return bytes;
    }

    static void write(Path file, PickleValue tree, byte[] storage) throws IOException {
        SequencedMap<String, byte[]> storages = new LinkedHashMap<>();
        storages.put("0", storage);
        TorchWriter.write(file, tree, storages);
    }

    static void write(Path file, PickleValue tree) throws IOException {
        TorchWriter.write(file, tree, new LinkedHashMap<>());
    }

    static Map<String, PickleValue> map(Object... keysAndValues) {
        Map<String, PickleValue> all = new LinkedHashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            all.put((String) keysAndValues[i], (PickleValue) keysAndValues[i + 1]);
        }
        return all;
    }
}
