package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.Coordinate;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetJob;
import io.ucp.formats.WriteRequest;
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
import io.ucp.formats.training.DeepSpeedJob;
import io.ucp.formats.training.TrainingState;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;

/// The trees of a job of DeepSpeed's that there was none of: what `load_checkpoint` asks for, as
/// far as the state says it, in the shape of a job of one rank.
///
/// Source: DeepSpeed `runtime/engine.py` (`_save_checkpoint`, `_load_checkpoint`).
///
/// @param groups numbers of the optimizer groups in the source, in the target's order
record MadeStates(
        WriteRequest request, TargetJob job, TrainingState training, List<Integer> groups) {
    /// The release whose form these files have.
    private static final String RELEASE = "0.19.0";

    private static final double UNIVERSAL = 0.4;
    private static final String TIED = "tied_modules.";
    private static final String NUMBERED = "\\d+\\..*";
    private static final String KEY = "0";

    /// Whether the names are of a pipeline, whose layers have numbers.
    boolean pipeline() {
        return request.parameters().stream().anyMatch(p -> isModule(p.name()));
    }

    /// Whether the names are those of Megatron-DeepSpeed's scripts.
    boolean script() {
        return pipeline()
                || request.parameters().stream()
                        .anyMatch(p -> p.name().startsWith("language_model."));
    }

    private DType dtype() {
        return request.parameters().stream()
                .filter(p -> !p.buffer())
                .map(MadeStates::weight)
                .findFirst()
                .orElse(DType.FLOAT32);
    }

    /// Of the model's own copy.
    static DType weight(ParameterFacts p) {
        DType own = p.states().get(Held.WEIGHT);
        return own == null ? p.states().getOrDefault(Held.FP32, DType.FLOAT32) : own;
    }

    /// @param weights without an optimizer
    List<CarriedFile> files(boolean weights) {
        List<CarriedFile> files = new ArrayList<>();
        files.add(file("mp_rank_00_model_states.pt", SourceFiles.MODEL_STATES, root(weights)));
        files.addAll(layers());
        request.carried().stream()
                .filter(f -> f.file().isPresent())
                .filter(f -> f.role().equals("side") || f.role().equals("beside"))
                .forEach(files::add);
        return files;
    }

    private static CarriedFile file(String path, String role, PickleValue root) {
        return new CarriedFile(
                path,
                role,
                Coordinate.NONE,
                Optional.empty(),
                Optional.of(root),
                Map.of(KEY, new Storage(0, List.of())));
    }

    private PyDict root(boolean weights) {
        PyInt steps = PyInt.of(training.steps(request).orElse(0));
        Map<String, PickleValue> root = new LinkedHashMap<>();
        root.put("module", pipeline() ? PyNone.NONE : PyDict.of(module()));
        root.put("buffer_names", PyList.of(buffers()));
        root.put("optimizer", weights ? PyNone.NONE : optimizer());
        for (String key :
                List.of("param_shapes", "frozen_param_shapes", "frozen_param_fragments")) {
            root.put(key, PyNone.NONE);
        }
        root.put("shared_params", PyNone.NONE);
        root.put("lr_scheduler", schedule());
        root.put("data_sampler", PyNone.NONE);
        root.put("random_ltd", PyNone.NONE);
        root.put(
                "sparse_tensor_module_names",
                PyObject.call(new PyGlobal("builtins", "set"), PyList.of()));
        root.put("skipped_steps", PyInt.of(training.skippedSteps().orElse(0)));
        root.put("global_steps", steps);
        if (training.trainSamples().isPresent()) {
            root.put("global_samples", PyInt.of(training.trainSamples().getAsLong()));
        }
        root.put("dp_world_size", PyInt.of(1));
        root.put("mp_world_size", PyInt.of(1));
        root.put("ds_config", configuration());
        root.put("ds_version", PyText.of(RELEASE));
        root.put("universal_checkpoint_info", information());
        if (script()) {
            root.put("checkpoint_version", new PyFloat(3.0));
            root.put("iteration", steps);
        }
        client().entries().forEach(e -> root.put(e.key().asText().orElseThrow(), e.value()));
        return PyDict.of(root);
    }

    /// What `load_checkpoint` returns to the script as its client state, with the words that
    /// Megatron-LM has for it.
    PyDict client() {
        PyDict client = PyDict.empty();
        if (training.validSamples().isPresent()) {
            client =
                    client.with(
                                    DeepSpeedJob.TRAIN_SAMPLES,
                                    PyInt.of(training.trainSamples().orElse(0)))
                            .with(
                                    DeepSpeedJob.VALID_SAMPLES,
                                    PyInt.of(training.validSamples().getAsLong()));
        }
        if (training.schedule().isPresent() && schedule().isNone()) {
            client = client.with(DeepSpeedJob.SCHEDULE, training.schedule().get());
        }
        if (!request.hints().numbers().isEmpty()) {
            PyDict numbers = PyDict.empty();
            for (var number : new TreeMap<>(request.hints().numbers()).entrySet()) {
                numbers = numbers.with(number.getKey(), PyInt.of(number.getValue()));
            }
            client = client.with(DeepSpeedJob.NUMBERS, numbers);
        }
        return client;
    }

    /// By the names that ranks have, aliases among them.
    private Map<String, PickleValue> module() {
        Map<String, PickleValue> module = new LinkedHashMap<>();
        for (ParameterFacts p : request.parameters()) {
            local(p).forEach(name -> module.put(name, placeholder(p)));
            p.aliases().forEach(alias -> module.put(alias, placeholder(p)));
        }
        request.hints().aliases().keySet().stream()
                .sorted()
                .forEach(alias -> module.putIfAbsent(alias, PyNone.NONE));
        module.values().removeIf(PickleValue::isNone);
        return module;
    }

    private List<String> local(ParameterFacts p) {
        return job.shards().getOrDefault(p.name(), List.of()).stream()
                .map(s -> s.localName())
                .distinct()
                .toList();
    }

    /// Another tensor takes its place on every rank.
    private static PickleValue placeholder(ParameterFacts p) {
        return TensorPickles.write(TorchTensor.contiguous(weight(p), Shape.of(0), KEY));
    }

    private List<PickleValue> buffers() {
        return request.parameters().stream()
                .filter(ParameterFacts::buffer)
                .map(p -> (PickleValue) PyText.of(p.name()))
                .toList();
    }

    private PyDict optimizer() {
        List<PickleValue> made = new ArrayList<>();
        for (int number : groups) {
            PyDict group = training.group(number).orElseThrow().without("step");
            // torch's own Adam always corrects; a fused one asks.
            made.add(
                    group.has("betas") && !group.has("bias_correction")
                            ? group.with("bias_correction", new PyBool(true))
                            : group);
        }
        PyDict optimizer =
                PyDict.empty().with("state", PyDict.empty()).with("param_groups", PyList.of(made));
        return dtype() == DType.FLOAT16
                ? optimizer.with("loss_scaler", LossScale.begun(PyDict.empty()).scaler())
                : optimizer;
    }

    /// A script's own scheduler has words of its own; Megatron-DeepSpeed's those of Megatron-LM,
    /// and counts tokens too.
    PickleValue schedule() {
        if (training.schedule().isEmpty()) {
            return PyNone.NONE;
        }
        PyDict schedule = training.schedule().get();
        OptionalLong samples =
                schedule.find("num_steps").map(PickleValue::asLong).orElse(OptionalLong.empty());
        if (!script() || training.sampleTokens().isEmpty() || samples.isEmpty()) {
            return PyNone.NONE;
        }
        long tokens = Math.multiplyExact(samples.getAsLong(), training.sampleTokens().getAsLong());
        return schedule.with("lr_warmup_tokens", PyNone.NONE)
                .with("num_tokens", PyInt.of(tokens))
                .with("lr_decay_tokens", PyNone.NONE);
    }

    private PyDict configuration() {
        PyDict config =
                PyDict.empty()
                        .with(
                                "zero_optimization",
                                PyDict.empty().with("stage", PyInt.of(job.stage())));
        if (dtype() == DType.BFLOAT16 || dtype() == DType.FLOAT16) {
            config =
                    config.with(
                            dtype() == DType.BFLOAT16 ? "bf16" : "fp16",
                            PyDict.empty().with("enabled", new PyBool(true)));
        }
        // As Megatron-DeepSpeed's scripts have it.
        return script() && dtype() == DType.BFLOAT16
                ? config.with(
                        "data_types", PyDict.empty().with("grad_accum_dtype", PyText.of("fp32")))
                : config;
    }

    private PyDict information() {
        PyDict of = PyDict.empty().with("universal_checkpoint_version", new PyFloat(UNIVERSAL));
        List<PyText> names = new ArrayList<>();
        for (ParameterFacts p : request.parameters()) {
            Shape padded = job.padded().getOrDefault(p.name(), p.shape());
            if (!padded.equals(p.realShape()) && padded.rank() > 0) {
                names.add(PyText.of(LayoutHints.Pattern.literally(p.name())));
                of =
                        of.with("original_vocab_size", PyInt.of(p.realShape().dim(0)))
                                .with("padded_vocab_size", PyInt.of(padded.dim(0)));
            }
        }
        return names.isEmpty() ? of : of.with(CheckpointInfo.VOCABULARY, PyList.of(names));
    }

    /// @throws RefusedException where layers of a pipeline share a module
    void refuseShared() {
        if (!pipeline()) {
            return;
        }
        for (ParameterFacts p : request.parameters()) {
            if (!p.name().matches(NUMBERED)) {
                throw new RefusedException(
                        p.name(),
                        "a module that a pipeline's layers share, and no job of DeepSpeed's"
                                + " says which of them",
                        "layers with parameters of their own, or files of such a job",
                        "--to deepspeed-universal; or a family without a pipeline,"
                                + " --target-spec (`ucp spec list`)");
            }
        }
    }

    /// A pipeline keeps each layer in a file of its own.
    private List<CarriedFile> layers() {
        if (!pipeline()) {
            return List.of();
        }
        Map<Integer, Map<String, PickleValue>> layers = new TreeMap<>();
        for (ParameterFacts p : request.parameters()) {
            int dot = p.name().indexOf('.');
            layers.computeIfAbsent(
                            Integer.parseInt(p.name().substring(0, dot)),
                            _ -> new LinkedHashMap<>())
                    .put(p.name().substring(dot + 1), placeholder(p));
        }
        List<CarriedFile> files = new ArrayList<>();
        layers.forEach(
                (number, keys) ->
                        files.add(file(LayerName.of(number, 0), "layer", PyDict.of(keys))));
        return files;
    }

    static boolean isModule(String name) {
        return name.startsWith(TIED) || name.matches(NUMBERED);
    }
}
