package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Origin;
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
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/// The files of a job of DeepSpeed's that there was none of, for a state that another framework
/// wrote: what `load_checkpoint` asks for, as far as the state says it. The shape of the rest is
/// that of a job of one rank, which every rank of the target is made of.
///
/// Source: DeepSpeed `runtime/engine.py` (`_save_checkpoint`, `_load_checkpoint`).
///
/// @param request with these files, and with optimizer groups numbered from 0 on
record MadeJob(WriteRequest request, List<String> losses, List<String> notes) {
    /// The release whose form these files have.
    private static final String RELEASE = "0.19.0";

    private static final double UNIVERSAL = 0.4;
    private static final String TIED = "tied_modules.";
    private static final String NUMBERED = "\\d+\\..*";
    private static final String KEY = "0";

    /// Whether no job of DeepSpeed's wrote the state, or it has other names by now.
    static boolean isNeeded(WriteRequest request) {
        return request.carried().stream().noneMatch(f -> f.role().equals(SourceFiles.MODEL_STATES));
    }

    static MadeJob of(WriteRequest request, TargetJob job) {
        return new Maker(request, job).made();
    }

    private static final class Maker {
        private final WriteRequest request;
        private final TargetJob job;
        private final TrainingState training;
        private final List<String> losses = new ArrayList<>();
        private final List<String> notes = new ArrayList<>();
        private final boolean pipeline;
        private final boolean script;
        private final DType dtype;

        /// Number of an optimizer group in the source -> in the target.
        private final Map<Integer, Integer> numbers = new HashMap<>();

        Maker(WriteRequest request, TargetJob job) {
            this.request = request;
            this.job = job;
            this.training = TrainingState.of(request);
            this.pipeline = request.parameters().stream().anyMatch(p -> isModule(p.name()));
            this.script =
                    pipeline
                            || request.parameters().stream()
                                    .anyMatch(p -> p.name().startsWith("language_model."));
            this.dtype =
                    request.parameters().stream()
                            .filter(p -> !p.buffer())
                            .map(MadeJob::weight)
                            .findFirst()
                            .orElse(DType.FLOAT32);
        }

        private static boolean isModule(String name) {
            return name.startsWith(TIED) || name.matches(NUMBERED);
        }

        MadeJob made() {
            if (!pipeline && job.degree("pp") > 1) {
                throw new RefusedException(
                        request.tag(),
                        "pp %d of a model whose names are no pipeline's of DeepSpeed's"
                                .formatted(job.degree("pp")),
                        "pp 1, or the names of one",
                        "--pp 1, or --target-spec megatron_deepspeed_llama (`ucp spec list`)");
            }
            boolean weights = weightsOnly();
            List<ParameterFacts> parameters =
                    request.parameters().stream().map(p -> renumbered(p, weights)).toList();
            List<CarriedFile> files = new ArrayList<>();
            files.add(file("mp_rank_00_model_states.pt", SourceFiles.MODEL_STATES, root(weights)));
            files.addAll(layers());
            request.carried().stream()
                    .filter(f -> f.file().isPresent() && isSide(f))
                    .forEach(files::add);
            Map<String, String> options = new HashMap<>(request.options());
            if (weights) {
                options.put("weights-only", "");
            }
            tell(weights);
            WriteRequest of =
                    new WriteRequest(
                            request.tag(),
                            request.iteration(),
                            new Origin("deepspeed", request.tag(), -1, List.of(), Optional.empty()),
                            parameters,
                            request.hints(),
                            files,
                            List.of(),
                            options,
                            request.job());
            return new MadeJob(of, losses, notes);
        }

        private static boolean isSide(CarriedFile file) {
            return file.role().equals("side") || file.role().equals("beside");
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

        private void tell(boolean weights) {
            notes.add(
                    "no job of DeepSpeed's with these names wrote the state: its files are made of"
                            + " what the state says, batch sizes and all else are its"
                            + " configuration's");
            if (weights) {
                notes.add("weights alone: load_checkpoint(.., load_module_only=True)");
            } else if (schedule().isNone()) {
                notes.add(
                        "a script with a scheduler begins with a new one:"
                                + " load_checkpoint(.., load_lr_scheduler_states=False)");
            }
            if (script && !weights) {
                notes.add(
                        "random generators and `args` are the script's own: Megatron-DeepSpeed"
                                + " needs --no-load-rng");
            }
            training.lost("DeepSpeed", List.of()).ifPresent(losses::add);
            String returned =
                    client().entries().stream()
                            .map(e -> e.key().asText().orElseThrow())
                            .filter(k -> !k.equals(DeepSpeedJob.NUMBERS))
                            .collect(Collectors.joining(", "));
            if (!returned.isEmpty()) {
                notes.add("load_checkpoint returns with the script's client state: " + returned);
            }
            training.counted(request).ifPresent(notes::add);
            if (!weights) {
                widened();
            }
        }

        private void widened() {
            for (ParameterFacts p : request.parameters()) {
                if (isTrained(p)
                        && !p.states().containsKey(Held.FP32)
                        && weight(p) != DType.FLOAT32) {
                    notes.add(
                            "fp32 masters are the %s weights, widened: the source has no others"
                                    .formatted(weight(p).torchName()));
                    return;
                }
            }
        }

        private static boolean isTrained(ParameterFacts p) {
            return p.trainable() && !p.buffer();
        }

        private static Set<String> statesOf(ParameterFacts p) {
            Set<String> states = new TreeSet<>(p.states().keySet());
            states.remove(Held.FP32);
            states.remove(Held.WEIGHT);
            return states;
        }

        /// Asked for, or because there are no states of an optimizer, or none that one could have.
        private boolean weightsOnly() {
            List<ParameterFacts> trained =
                    request.parameters().stream().filter(Maker::isTrained).toList();
            Set<String> states =
                    trained.stream()
                            .flatMap(p -> statesOf(p).stream())
                            .collect(Collectors.toCollection(TreeSet::new));
            if (request.options().containsKey("weights-only")) {
                return true;
            }
            if (states.isEmpty()) {
                return true;
            }
            Optional<ParameterFacts> without =
                    trained.stream()
                            .filter(
                                    p ->
                                            p.optimizerGroup() < 0
                                                    || training.group(p.optimizerGroup()).isEmpty())
                            .findFirst();
            if (without.isPresent()) {
                losses.add(
                        ("states of the optimizer (%s): the source does not say the settings of the"
                             + " group of '%s', which DeepSpeed would load; it begins with new"
                             + " ones")
                                .formatted(String.join(", ", states), without.get().name()));
                return true;
            }
            trained.stream()
                    .map(ParameterFacts::optimizerGroup)
                    .sorted()
                    .distinct()
                    .forEach(n -> numbers.put(n, numbers.size()));
            return false;
        }

        private ParameterFacts renumbered(ParameterFacts p, boolean weights) {
            int group = weights || !isTrained(p) ? -1 : numbers.get(p.optimizerGroup());
            return new ParameterFacts(
                    p.name(),
                    p.shape(),
                    p.realShape(),
                    p.states(),
                    p.scalars(),
                    p.split(),
                    p.trainable(),
                    p.buffer(),
                    group,
                    p.aliases(),
                    p.digests(),
                    p.notes());
        }

        private PyDict root(boolean weights) {
            PyInt steps = PyInt.of(training.steps(request).orElse(0));
            Map<String, PickleValue> root = new LinkedHashMap<>();
            root.put("module", pipeline ? PyNone.NONE : PyDict.of(module()));
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
            if (script) {
                root.put("checkpoint_version", new PyFloat(3.0));
                root.put("iteration", steps);
            }
            client().entries().forEach(e -> root.put(e.key().asText().orElseThrow(), e.value()));
            return PyDict.of(root);
        }

        /// What `load_checkpoint` returns to the script as its client state, with the words that
        /// Megatron-LM has for it.
        private PyDict client() {
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
            List<PickleValue> groups = new ArrayList<>();
            for (int number : new TreeSet<>(numbers.keySet())) {
                PyDict group = training.group(number).orElseThrow().without("step");
                // torch's own Adam always corrects; a fused one asks.
                groups.add(
                        group.has("betas") && !group.has("bias_correction")
                                ? group.with("bias_correction", new PyBool(true))
                                : group);
            }
            PyDict optimizer =
                    PyDict.empty()
                            .with("state", PyDict.empty())
                            .with("param_groups", PyList.of(groups));
            return dtype == DType.FLOAT16
                    ? optimizer.with("loss_scaler", LossScale.begun(PyDict.empty()).scaler())
                    : optimizer;
        }

        /// A script's own scheduler has words of its own; Megatron-DeepSpeed's those of
        /// Megatron-LM, and counts tokens too.
        private PickleValue schedule() {
            if (training.schedule().isEmpty()) {
                return PyNone.NONE;
            }
            PyDict schedule = training.schedule().get();
            OptionalLong samples =
                    schedule.find("num_steps")
                            .map(PickleValue::asLong)
                            .orElse(OptionalLong.empty());
            if (!script || training.sampleTokens().isEmpty() || samples.isEmpty()) {
                return PyNone.NONE;
            }
            long tokens =
                    Math.multiplyExact(samples.getAsLong(), training.sampleTokens().getAsLong());
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
            if (dtype == DType.BFLOAT16 || dtype == DType.FLOAT16) {
                config =
                        config.with(
                                dtype == DType.BFLOAT16 ? "bf16" : "fp16",
                                PyDict.empty().with("enabled", new PyBool(true)));
            }
            // As Megatron-DeepSpeed's scripts have it.
            return script && dtype == DType.BFLOAT16
                    ? config.with(
                            "data_types",
                            PyDict.empty().with("grad_accum_dtype", PyText.of("fp32")))
                    : config;
        }

        private PyDict information() {
            PyDict of = PyDict.empty().with("universal_checkpoint_version", new PyFloat(UNIVERSAL));
            List<PyText> names = new ArrayList<>();
            for (ParameterFacts p : request.parameters()) {
                Shape padded = job.padded().getOrDefault(p.name(), p.shape());
                if (!padded.equals(p.realShape()) && padded.rank() > 0) {
                    names.add(
                            PyText.of(
                                    "^"
                                            + p.name()
                                                    .replaceAll(
                                                            "([.^$*+?()\\[\\]{}|\\\\])", "\\\\$1")
                                            + "$"));
                    of =
                            of.with("original_vocab_size", PyInt.of(p.realShape().dim(0)))
                                    .with("padded_vocab_size", PyInt.of(padded.dim(0)));
                }
            }
            return names.isEmpty() ? of : of.with(CheckpointInfo.VOCABULARY, PyList.of(names));
        }

        /// A pipeline keeps each layer in a file of its own.
        private List<CarriedFile> layers() {
            if (!pipeline) {
                return List.of();
            }
            Map<Integer, Map<String, PickleValue>> layers = new TreeMap<>();
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
                int dot = p.name().indexOf('.');
                layers.computeIfAbsent(
                                Integer.parseInt(p.name().substring(0, dot)),
                                _ -> new LinkedHashMap<>())
                        .put(p.name().substring(dot + 1), placeholder(p));
            }
            List<CarriedFile> files = new ArrayList<>();
            layers.forEach(
                    (number, keys) ->
                            files.add(
                                    file(
                                            "layer_%02d-model_00-model_states.pt".formatted(number),
                                            "layer",
                                            PyDict.of(keys))));
            return files;
        }
    }

    private static DType weight(ParameterFacts p) {
        DType own = p.states().get(Held.WEIGHT);
        return own == null ? p.states().getOrDefault(Held.FP32, DType.FLOAT32) : own;
    }
}
