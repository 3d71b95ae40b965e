package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.deepspeed.writing.NamedParameters;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchTensor;
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
import io.ucp.formats.training.TrainingState;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

/// `mp_rank_00_model_states.pt` for a state that no DeepSpeed job wrote: one rank's, of stage 1.
///
/// DeepSpeed loads trainable parameters from `zero/` and passes `module` by, so it holds the
/// weights of frozen parameters and buffers alone, which would be lost otherwise. The count of
/// files has to be `mp_world_size`; a scheduler is given `last_batch_iteration`, the one key that
/// all of DeepSpeed's own read.
///
/// Source: DeepSpeed `runtime/engine.py` (`_load_checkpoint`), `runtime/state_dict_factory.py`,
/// `runtime/lr_schedules.py`.
final class PlainModelStates {
    /// The release whose form this follows.
    static final String DS_VERSION = "0.19.0";

    static final String SHAPES = "param_shapes";
    static final String FILE = "mp_rank_00_model_states.pt";

    private final Map<String, Storage> storages = new LinkedHashMap<>();

    Map<String, Storage> storages() {
        return storages;
    }

    /// @param trained parameters with a folder in `zero/`
    /// @param training what the job said that wrote the state
    PyDict of(WriteRequest request, List<ParameterFacts> trained, TrainingState training) {
        Optional<List<String>> order =
                NamedParameters.of(
                        request.parameters().stream()
                                .filter(p -> !p.buffer())
                                .map(ParameterFacts::name)
                                .toList());
        SequencedMap<String, PickleValue> module = new LinkedHashMap<>();
        SequencedMap<String, PickleValue> frozen = new LinkedHashMap<>();
        SequencedMap<String, PickleValue> aliases = new LinkedHashMap<>();
        for (ParameterFacts p : request.parameters()) {
            p.aliases().forEach(alias -> aliases.put(alias, PyText.of(p.name())));
            DType dtype = p.states().get(Assembly.WEIGHT);
            if (!p.trainable() || p.buffer()) {
                if (dtype != null) {
                    module.put(p.name(), tensor(p, dtype));
                }
                if (!p.buffer()) {
                    frozen.put(p.name(), size(p.shape()));
                }
            }
        }
        long step = training.steps(request).orElse(0);
        Map<String, PickleValue> root = new LinkedHashMap<>();
        root.put("module", PyObject.orderedDict(PyDict.of(module)));
        root.put("buffer_names", buffers(request.parameters()));
        root.put("optimizer", PyNone.NONE);
        root.put(SHAPES, shapes(order.map(o -> sorted(trained, o)).orElse(trained)));
        if (order.isEmpty()) {
            root.put(NamedParameters.UNKNOWN, new PyBool(true));
        }
        root.put("frozen_param_shapes", PyObject.orderedDict(PyDict.of(frozen)));
        root.put("shared_params", PyDict.of(aliases));
        root.put("frozen_param_fragments", PyDict.empty());
        root.put("lr_scheduler", PyDict.of(Map.of("last_batch_iteration", PyInt.of(step - 1))));
        root.put("data_sampler", PyNone.NONE);
        root.put("random_ltd", PyNone.NONE);
        root.put(
                "sparse_tensor_module_names",
                PyObject.call(new PyGlobal("__builtin__", "set"), PyList.of()));
        root.put("skipped_steps", PyInt.of(training.skippedSteps().orElse(0)));
        root.put("global_steps", PyInt.of(step));
        if (training.trainSamples().isPresent()) {
            root.put("global_samples", PyInt.of(training.trainSamples().getAsLong()));
        }
        root.put("dp_world_size", PyInt.of(1));
        root.put("mp_world_size", PyInt.of(1));
        root.put("checkpoint_parallel_dimensions", degrees());
        root.put("ds_config", config());
        root.put("ds_version", PyText.of(DS_VERSION));
        root.put(
                "universal_checkpoint_info",
                PyDict.of(Map.of("universal_checkpoint_version", new PyFloat(0.2))));
        root.put("iteration", PyInt.of(step));
        return PyDict.of(root);
    }

    private PyObject tensor(ParameterFacts p, DType dtype) {
        String key = Integer.toString(storages.size());
        Shape shape = p.shape();
        storages.put(
                key,
                new Storage(
                        Math.multiplyExact(shape.count(), dtype.width()),
                        List.of(
                                new Content.Elements(
                                        0,
                                        UniversalLayout.elements(
                                                p, Assembly.WEIGHT, dtype, shape)))));
        return TensorPickles.write(TorchTensor.contiguous(dtype, shape, key));
    }

    private static PyList buffers(List<ParameterFacts> parameters) {
        return PyList.of(
                parameters.stream()
                        .filter(ParameterFacts::buffer)
                        .map(p -> PyText.of(p.name()))
                        .toList());
    }

    private static List<ParameterFacts> sorted(
            List<ParameterFacts> parameters, List<String> order) {
        Map<String, ParameterFacts> byName = new HashMap<>();
        parameters.forEach(p -> byName.put(p.name(), p));
        return order.stream().flatMap(n -> Stream.ofNullable(byName.get(n))).toList();
    }

    /// By optimizer group, in the order given.
    static PyList shapes(List<ParameterFacts> trained) {
        TreeMap<Integer, Map<String, PickleValue>> groups = new TreeMap<>();
        for (ParameterFacts p : trained) {
            groups.computeIfAbsent(Math.max(0, p.optimizerGroup()), _ -> new LinkedHashMap<>())
                    .put(p.name(), size(p.realShape()));
        }
        int count = groups.isEmpty() ? 1 : groups.lastKey() + 1;
        for (int g = 0; g < count; g++) {
            groups.computeIfAbsent(g, _ -> new LinkedHashMap<>());
        }
        return PyList.of(
                groups.values().stream()
                        .map(group -> PyObject.orderedDict(PyDict.of(group)))
                        .toList());
    }

    private static PyObject size(Shape shape) {
        return PyObject.call(
                new PyGlobal("torch", "Size"),
                PyTuple.of(Arrays.stream(shape.dims()).mapToObj(PyInt::of).toList()));
    }

    private static PyDict degrees() {
        Map<String, PickleValue> degrees = new LinkedHashMap<>();
        degrees.put("pp_degree", PyInt.of(1));
        degrees.put("tp_degree", PyInt.of(1));
        return PyDict.of(degrees);
    }

    private static PyDict config() {
        return PyDict.of(Map.of("zero_optimization", PyDict.of(Map.of("stage", PyInt.of(1)))));
    }
}
