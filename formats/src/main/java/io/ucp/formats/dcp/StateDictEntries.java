package io.ucp.formats.dcp;

import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.dcp.Keys.State;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.formats.training.StateDictKeys;
import io.ucp.formats.training.TrainingState;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;

/// The keys of the state dict to be written: the source's own where it was of this format, else
/// those that torch's `get_state_dict` gives, the model under `model`, the optimizer under `optim`.
final class StateDictEntries {
    private static final PyText MODEL = PyText.of("model");
    private static final PyText OPTIM = PyText.of("optim");
    private static final PyText STATE = PyText.of("state");
    private static final PyText PARAM_GROUPS = PyText.of("param_groups");

    private static final String WEIGHT = "weight";
    private static final String MASTER = "fp32";

    /// The largest whole number up to which a float32 has each.
    private static final long EXACT = 1L << 24;

    private final WriteRequest request;
    private final RankGrid grid;

    /// Whether the source's own chunks are to be kept where its mesh does not explain them.
    private final boolean asBefore;

    private final TrainingState training;
    private final Map<String, ParameterFacts> parameters = new HashMap<>();
    private final Set<State> written = new HashSet<>();
    private final List<Entry> entries = new ArrayList<>();

    private StateDictEntries(
            WriteRequest request, TrainingState training, RankGrid grid, boolean asBefore) {
        this.request = request;
        this.training = training;
        this.grid = grid;
        this.asBefore = asBefore;
        request.parameters().forEach(facts -> parameters.put(facts.name(), facts));
    }

    static List<Entry> of(
            WriteRequest request,
            Optional<CarriedStateDict> source,
            TrainingState training,
            RankGrid grid,
            boolean asBefore) {
        StateDictEntries made = new StateDictEntries(request, training, grid, asBefore);
        source.ifPresent(made::addSource);
        made.addModel();
        made.addOptimizer(source.isEmpty());
        if (source.isEmpty()) {
            made.addCounters();
        }
        return List.copyOf(made.entries);
    }

    private void addSource(CarriedStateDict source) {
        source.values()
                .forEach(
                        (key, value) -> {
                            PyTuple path = path(key, source);
                            CarriedStateDict.Value object = source.objects().get(key);
                            if (object != null) {
                                entries.add(
                                        new Entry(
                                                key,
                                                path,
                                                new Entry.Pickled(
                                                        object.tree(), object.storages())));
                            } else {
                                entries.add(new Entry(key, path, value(key, value, source)));
                            }
                        });
    }

    private static PyTuple path(String key, CarriedStateDict source) {
        return source.planner()
                .flatMap(planner -> planner.find(key))
                .filter(PyTuple.class::isInstance)
                .map(PyTuple.class::cast)
                .orElseGet(() -> PyTuple.of(PyText.of(key)));
    }

    private Entry.Value value(String key, PickleValue value, CarriedStateDict source) {
        Optional<TorchTensor> tensor = TensorPickles.read(value);
        if (tensor.isEmpty()) {
            return new Entry.Pickled(value, Map.of());
        }
        Storage storage =
                Optional.ofNullable(source.storages().get(tensor.get().storageKey())).orElseThrow();
        if (storage.content().size() == 1
                && storage.content().getFirst() instanceof Content.Elements(_, Elementwise of)) {
            List<Chunk> chunks = source.chunks().getOrDefault(key, List.of());
            boolean kept = asBefore || chunks.size() == 1;
            return bound(
                    of.parameter(),
                    of.state(),
                    tensor.get().requiresGrad(),
                    kept ? chunks : List.of());
        }
        return new Entry.Own(
                tensor.get().dtype(),
                tensor.get().shape(),
                tensor.get().requiresGrad(),
                parts(storage));
    }

    private Entry.Bound bound(
            String parameter, String state, boolean requiresGrad, List<Chunk> chunks) {
        ParameterFacts facts = Optional.ofNullable(parameters.get(parameter)).orElseThrow();
        DType dtype = Optional.ofNullable(facts.states().get(state)).orElseThrow();
        boolean cut = grid.tp() > 1 && facts.split().kind() == SplitKind.SHARDED;
        written.add(new State(parameter, state));
        return new Entry.Bound(
                parameter,
                state,
                dtype,
                unpadded(facts),
                facts.shape(),
                requiresGrad,
                cut ? facts.split().dim() : RankGrid.UNCUT,
                chunks);
    }

    /// Rows that pad a vocabulary are for ranks of a job: without them the others lie as before.
    static Shape unpadded(ParameterFacts facts) {
        Shape real = facts.realShape();
        boolean rows = facts.padded() && facts.shape().with(0, real.dim(0)).equals(real);
        return rows ? real : facts.shape();
    }

    /// What no key of the source holds.
    private void addModel() {
        for (ParameterFacts facts : request.parameters()) {
            String held = model(facts);
            boolean there =
                    written.contains(new State(facts.name(), held))
                            || written.contains(new State(facts.name(), WEIGHT));
            if (held.isEmpty() || there) {
                continue;
            }
            add(
                    PyTuple.of(MODEL, PyText.of(facts.name())),
                    bound(facts.name(), held, false, List.of()));
            for (String alias : facts.aliases()) {
                add(
                        PyTuple.of(MODEL, PyText.of(alias)),
                        bound(facts.name(), held, false, List.of()));
            }
        }
    }

    /// The model's own copy; of fp32 weights the master, which they are, as torch's optimizers have
    /// no other.
    private static String model(ParameterFacts facts) {
        return isMaster(facts) ? MASTER : facts.heldAs(WEIGHT).orElse("");
    }

    private static boolean isMaster(ParameterFacts facts) {
        return facts.states().get(WEIGHT) == DType.FLOAT32
                && facts.states().get(MASTER) == DType.FLOAT32;
    }

    /// @param whole whether there is no source of this format with groups of its own
    private void addOptimizer(boolean whole) {
        Map<Integer, List<PickleValue>> groups = new TreeMap<>();
        for (ParameterFacts facts : request.parameters()) {
            PyText name = PyText.of(facts.name());
            for (String state : facts.states().keySet()) {
                boolean twice = isMaster(facts) && state.equals(WEIGHT);
                if (!twice && !written.contains(new State(facts.name(), state))) {
                    add(
                            PyTuple.of(OPTIM, STATE, name, PyText.of(state)),
                            bound(facts.name(), state, false, List.of()));
                }
            }
            if (whole) {
                facts.scalars()
                        .forEach(
                                (state, value) ->
                                        add(
                                                PyTuple.of(OPTIM, STATE, name, PyText.of(state)),
                                                number(state, value)));
            }
            if (facts.optimizerGroup() >= 0) {
                groups.computeIfAbsent(facts.optimizerGroup(), _ -> new ArrayList<>()).add(name);
            }
        }
        if (whole) {
            addGroups(groups);
        }
    }

    private void addGroups(Map<Integer, List<PickleValue>> groups) {
        int number = 0;
        for (Map.Entry<Integer, List<PickleValue>> group : groups.entrySet()) {
            PyDict settings = training.group(group.getKey()).orElse(PyDict.empty());
            for (PyDict.Entry each : complete(settings).entries()) {
                add(
                        PyTuple.of(OPTIM, PARAM_GROUPS, PyInt.of(number), each.key()),
                        new Entry.Pickled(each.value(), Map.of()));
            }
            add(
                    PyTuple.of(OPTIM, PARAM_GROUPS, PyInt.of(number++), PyText.of("params")),
                    new Entry.Pickled(PyList.of(group.getValue()), Map.of()));
        }
    }

    /// With what torch's Adam has besides: a load asks for every key. None changes a number: they
    /// choose how it computes, or name what the states show not to be (`max_exp_avg_sq`).
    ///
    /// Source: torch `optim/adam.py`, `optim/adamw.py`.
    private static PyDict complete(PyDict settings) {
        if (!settings.has("betas")) {
            return settings;
        }
        PyDict all = settings.without("step");
        Map<String, PickleValue> others = new LinkedHashMap<>();
        others.put("amsgrad", new PyBool(false));
        others.put("maximize", new PyBool(false));
        others.put("foreach", PyNone.NONE);
        others.put("capturable", new PyBool(false));
        others.put("differentiable", new PyBool(false));
        others.put("fused", PyNone.NONE);
        // Fused Adams decay weights apart from gradients unless told otherwise, which no file says.
        others.put("decoupled_weight_decay", new PyBool(true));
        for (Map.Entry<String, PickleValue> other : others.entrySet()) {
            all = all.has(other.getKey()) ? all : all.with(other.getKey(), other.getValue());
        }
        return all;
    }

    /// Under the keys of [StateDictKeys].
    private void addCounters() {
        OptionalLong steps = training.iteration();
        count(StateDictKeys.ITERATION, steps.isPresent() ? steps : request.iteration());
        count(StateDictKeys.TRAIN_SAMPLES, training.trainSamples());
        count(StateDictKeys.VALID_SAMPLES, training.validSamples());
        count(StateDictKeys.SKIPPED_STEPS, training.skippedSteps());
        for (PyDict.Entry each : training.schedule().orElse(PyDict.empty()).entries()) {
            add(
                    PyTuple.of(PyText.of(StateDictKeys.SCHEDULE), each.key()),
                    new Entry.Pickled(each.value(), Map.of()));
        }
    }

    private void count(String key, OptionalLong number) {
        if (number.isPresent()) {
            add(
                    PyTuple.of(PyText.of(key)),
                    new Entry.Pickled(PyInt.of(number.getAsLong()), Map.of()));
        }
    }

    private void add(PyTuple path, Entry.Value value) {
        List<String> steps =
                path.elements().stream()
                        .map(step -> step.asText().orElseGet(step::toString))
                        .toList();
        entries.add(new Entry(String.join(".", steps), path, value));
    }

    /// torch's optimizers count their steps in a float32 of no dims.
    private static Entry.Value number(String state, Scalar value) {
        ByteBuffer bytes = ByteBuffer.wrap(value.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        return switch (value.dtype()) {
            case INT64 -> {
                long number = bytes.getLong();
                yield state.equals("step") && Math.abs(number) <= EXACT
                        ? step((float) number)
                        : new Entry.Pickled(PyInt.of(number), Map.of());
            }
            case FLOAT64 -> {
                double number = bytes.getDouble();
                yield state.equals("step") && number == (float) number
                        ? step((float) number)
                        : new Entry.Pickled(new PyFloat(number), Map.of());
            }
            default -> own(value.dtype(), value.bytes());
        };
    }

    private static Entry.Own step(float number) {
        byte[] four =
                ByteBuffer.allocate(Float.BYTES)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putFloat(number)
                        .array();
        return own(DType.FLOAT32, four);
    }

    private static Entry.Own own(DType dtype, byte[] bytes) {
        return new Entry.Own(dtype, Shape.of(), false, List.of(new Part.Literal(0, bytes)));
    }

    private static List<Part> parts(Storage storage) {
        return storage.content().stream()
                .sorted(Comparator.comparingLong(Content::offset))
                .map(
                        content ->
                                switch (content) {
                                    case Content.Raw(long offset, var file, long from, long size) ->
                                            new Part.Copied(offset, file, from, size);
                                    case Content.Elements(long offset, Elementwise of) ->
                                            (Part) new Part.Elements(offset, of);
                                })
                .toList();
    }
}
