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
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/// The keys of the state dict to be written: the source's own where it was of this format, else
/// those that torch's `get_state_dict` gives, the model under `model`, the optimizer under `optim`.
final class StateDictEntries {
    private static final PyText MODEL = PyText.of("model");
    private static final PyText OPTIM = PyText.of("optim");
    private static final PyText STATE = PyText.of("state");
    private static final PyText PARAM_GROUPS = PyText.of("param_groups");

    /// The largest whole number up to which a float32 has each.
    private static final long EXACT = 1L << 24;

    private final WriteRequest request;
    private final RankGrid grid;

    /// Whether the source's own chunks are to be kept where its mesh does not explain them.
    private final boolean asBefore;

    private final Map<String, ParameterFacts> parameters = new HashMap<>();
    private final Set<State> written = new HashSet<>();
    private final List<Entry> entries = new ArrayList<>();

    private StateDictEntries(WriteRequest request, RankGrid grid, boolean asBefore) {
        this.request = request;
        this.grid = grid;
        this.asBefore = asBefore;
        request.parameters().forEach(facts -> parameters.put(facts.name(), facts));
    }

    static List<Entry> of(
            WriteRequest request,
            Optional<CarriedStateDict> source,
            RankGrid grid,
            boolean asBefore) {
        StateDictEntries made = new StateDictEntries(request, grid, asBefore);
        source.ifPresent(made::addSource);
        made.addModel();
        made.addOptimizer(source.isEmpty());
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
                facts.shape(),
                requiresGrad,
                cut ? facts.split().dim() : RankGrid.UNCUT,
                chunks);
    }

    /// What no key of the source holds.
    private void addModel() {
        for (ParameterFacts facts : request.parameters()) {
            String held = facts.heldAs("weight").orElse("");
            if (held.isEmpty() || written.contains(new State(facts.name(), held))) {
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

    /// @param whole whether there is no source of this format with groups of its own
    private void addOptimizer(boolean whole) {
        Map<Integer, List<PickleValue>> groups = new TreeMap<>();
        for (ParameterFacts facts : request.parameters()) {
            PyText name = PyText.of(facts.name());
            for (String state : facts.states().keySet()) {
                if (!written.contains(new State(facts.name(), state))) {
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
            add(
                    PyTuple.of(OPTIM, PARAM_GROUPS, PyInt.of(number++), PyText.of("params")),
                    new Entry.Pickled(PyList.of(group.getValue()), Map.of()));
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
