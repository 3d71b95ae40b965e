package io.ucp.formats.dcp;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Elementwise;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.WholeParameter.Placed;
import io.ucp.formats.dcp.Keys.State;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.ItemReader;
import io.ucp.formats.distcp.Place;
import io.ucp.formats.distcp.StateDictEntry;
import io.ucp.formats.distcp.StateDictEntry.OfObject;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.hub.SideFiles;
import io.ucp.formats.torch.PlainNames;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchRecord;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.training.StateDictKeys;
import io.ucp.io.ByteReader;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// Reads what a checkpoint says: parameters with their states by name, everything else carried.
final class DcpIndex {
    private static final Pattern RANK_FILE = Pattern.compile("__(\\d{1,7})_\\d+\\.distcp");
    private static final int NAMED = 3;

    private final Candidate candidate;
    private final DistcpMetadata metadata;
    private final ItemReader items;
    private final Keys keys;
    private final RankGrid grid;
    private final Map<String, Gathered> parameters = new LinkedHashMap<>();
    private final Map<String, PickleValue> values = new LinkedHashMap<>();
    private final Map<String, CarriedStateDict.Value> objects = new LinkedHashMap<>();
    private final Map<String, Storage> storages = new LinkedHashMap<>();
    private final List<String> odd = new ArrayList<>();

    /// Other name of a parameter -> its name.
    private final Map<String, String> tied = new LinkedHashMap<>();

    /// A parameter while its states are being found.
    private static final class Gathered {
        final OfTensor weight;
        final boolean ofModel;
        final Map<String, OfTensor> states = new TreeMap<>();
        final Map<String, Scalar> scalars = new TreeMap<>();

        Gathered(OfTensor weight, boolean ofModel) {
            this.weight = weight;
            this.ofModel = ofModel;
        }
    }

    private DcpIndex(Candidate candidate) throws IOException {
        this.candidate = candidate;
        this.metadata = DistcpMetadata.read(candidate.folder());
        this.items = ItemReader.open(candidate.folder(), metadata);
        this.keys = Keys.of(candidate.folder(), metadata, this::object);
        this.grid = RankGrid.of(tensors(), ranks());
    }

    static CheckpointIndex of(Candidate candidate) throws IOException {
        return new DcpIndex(candidate).index();
    }

    private Optional<PickleValue> object(String key) {
        return metadata.entries().get(key) instanceof OfObject(Place place)
                ? Optional.of(items.object(place).tree())
                : Optional.empty();
    }

    private List<OfTensor> tensors() {
        return metadata.entries().values().stream()
                .filter(OfTensor.class::isInstance)
                .map(OfTensor.class::cast)
                .toList();
    }

    /// Ranks that have files, by their names.
    private int ranks() {
        int most = 0;
        for (StateDictEntry entry : metadata.entries().values()) {
            switch (entry) {
                case OfObject(Place place) -> most = Math.max(most, rank(place));
                case OfTensor tensor -> {
                    for (Stored stored : tensor.chunks()) {
                        most = Math.max(most, rank(stored.place()));
                    }
                }
            }
        }
        return most + 1;
    }

    private static int rank(Place place) {
        Matcher name = RANK_FILE.matcher(place.file());
        return name.matches() ? Integer.parseInt(name.group(1)) : 0;
    }

    private CheckpointIndex index() throws IOException {
        SideFiles side = side();
        Map<String, List<Chunk>> chunks = new LinkedHashMap<>();
        weights();
        for (String key : keys.inOrder()) {
            StateDictEntry entry = Optional.ofNullable(metadata.entries().get(key)).orElseThrow();
            switch (entry) {
                case OfTensor tensor -> {
                    values.put(key, value(key, tensor));
                    if (!grid.explains(tensor)) {
                        chunks.put(key, tensor.chunks().stream().map(Stored::chunk).toList());
                    }
                }
                case OfObject(Place place) -> {
                    object(key, place);
                    number(key, items.object(place).tree());
                }
            }
        }
        if (parameters.isEmpty()) {
            throw new IncompleteCheckpointException(
                    candidate.folder().toString(),
                    "a state dict without tensors",
                    "parameters",
                    "where the model is in a folder of its own, name that");
        }
        List<WholeParameter> wholes = new ArrayList<>();
        parameters.forEach((name, gathered) -> wholes.add(whole(name, gathered)));
        return new CheckpointIndex(
                candidate.format(),
                candidate.folder(),
                candidate.tag(),
                StateDictKeys.iteration(values),
                -1,
                grid.mesh(),
                List.of(),
                List.of(),
                wholes,
                LayoutHints.NONE,
                carried(chunks, side),
                new Origin(candidate.format(), candidate.tag(), -1, grid.mesh(), Optional.empty()),
                findings(side));
    }

    /// Weights whose chunks lie at the same places are one parameter with several names.
    private void weights() {
        Map<List<Stored>, String> held = new HashMap<>();
        for (String key : keys.inOrder()) {
            Keys.Weight weight = keys.weights().get(key);
            if (weight == null || !(metadata.entries().get(key) instanceof OfTensor tensor)) {
                continue;
            }
            String first =
                    tensor.shape().count() == 0
                            ? null
                            : held.putIfAbsent(tensor.chunks(), weight.name());
            if (first == null) {
                parameters.put(weight.name(), new Gathered(tensor, true));
            } else {
                tied.put(weight.name(), first);
            }
        }
    }

    private String untied(String name) {
        return tied.getOrDefault(name, name);
    }

    private List<CarriedFile> carried(Map<String, List<Chunk>> chunks, SideFiles side) {
        List<CarriedFile> files =
                new ArrayList<>(
                        new CarriedStateDict(values, metadata.planner(), objects, chunks, storages)
                                .files());
        files.addAll(side.carried());
        return files;
    }

    /// What lies beside the ranks' files.
    private SideFiles side() throws IOException {
        Set<String> own = new HashSet<>(Set.of(DistcpMetadata.FILE));
        for (StateDictEntry entry : metadata.entries().values()) {
            switch (entry) {
                case OfObject(Place place) -> own.add(place.file());
                case OfTensor tensor -> tensor.chunks().forEach(c -> own.add(c.place().file()));
            }
        }
        return SideFiles.read(candidate.folder(), own);
    }

    /// The tensor as it is carried: by the elements of a parameter, or by its own bytes.
    private PickleValue value(String key, OfTensor tensor) throws IOException {
        Keys.Weight weight = keys.weights().get(key);
        if (weight != null) {
            return bound(tensor, untied(weight.name()), "weight");
        }
        State state = keys.states().get(key);
        if (state != null) {
            String parameter = untied(state.name());
            Gathered of = Optional.ofNullable(parameters.get(parameter)).orElseThrow();
            if (tensor.shape().rank() == 0
                    && (of.weight.shape().rank() > 0 || state.state().equals("step"))) {
                of.scalars.put(state.state(), scalar(tensor));
                return own(tensor);
            }
            if (tensor.shape().equals(of.weight.shape()) && !state.state().equals("weight")) {
                of.states.put(state.state(), tensor);
                return bound(tensor, parameter, state.state());
            }
        }
        boolean asParameter =
                (isFloating(tensor.dtype()) && tensor.shape().rank() > 0) || !isInRuns(tensor);
        if (asParameter && !parameters.containsKey(key)) {
            if (!keys.unpaired().contains(key)) {
                odd.add(key);
            }
            parameters.put(key, new Gathered(tensor, false));
            return bound(tensor, key, "weight");
        }
        if (!isInRuns(tensor)) {
            throw new RefusedException(
                    "'%s'".formatted(key),
                    "a tensor that does not lie row by row, with the name of a parameter",
                    "a name of its own",
                    "save it under another key, or contiguous");
        }
        return own(tensor);
    }

    private static boolean isFloating(DType dtype) {
        return dtype.torchName().contains("float");
    }

    /// The bytes of each chunk, as they lie, are a stretch of the whole tensor.
    private boolean isInRuns(OfTensor tensor) {
        for (Stored stored : tensor.chunks()) {
            Piece piece = stored.chunk().in(tensor.shape());
            if (piece.endIndex() - piece.firstIndex() != piece.count()
                    || !items.tensor(stored.place()).isDense()) {
                return false;
            }
        }
        return true;
    }

    private PickleValue bound(OfTensor tensor, String parameter, String state) {
        Elementwise elements =
                new Elementwise(
                        parameter,
                        state,
                        tensor.dtype(),
                        tensor.shape().count(),
                        List.of(Piece.whole(tensor.shape())));
        return node(tensor, List.of(new Content.Elements(0, elements)));
    }

    private PickleValue own(OfTensor tensor) {
        List<Content> contents = new ArrayList<>();
        for (Stored stored : tensor.chunks()) {
            TensorEntry entry = items.tensor(stored.place());
            if (entry.size() > 0) {
                contents.add(
                        new Content.Raw(
                                stored.chunk().in(tensor.shape()).firstIndex()
                                        * tensor.dtype().width(),
                                entry.source(),
                                entry.offset(),
                                entry.size()));
            }
        }
        return node(tensor, contents);
    }

    private PickleValue node(OfTensor tensor, List<Content> contents) {
        String key = Integer.toString(storages.size());
        TorchTensor whole = TorchTensor.contiguous(tensor.dtype(), tensor.shape(), key);
        storages.put(key, new Storage(whole.size(), contents));
        return TensorPickles.write(whole.requiringGrad(tensor.requiresGrad()));
    }

    private Scalar scalar(OfTensor tensor) throws IOException {
        TensorEntry entry = items.tensor(tensor.chunks().getFirst().place());
        ByteBuffer bytes = ByteBuffer.allocate(entry.dtype().width());
        try (ByteReader reader = entry.source().open()) {
            reader.read(entry.offset(), bytes);
        }
        return new Scalar(entry.dtype(), bytes.array());
    }

    /// An object, with its storages in a file of its own where it has any.
    private void object(String key, Place place) throws IOException {
        TorchFile file = items.object(place);
        Map<String, Storage> held = new LinkedHashMap<>();
        PlainFile source = items.file(place);
        String prefix = file.root() + "/data/";
        for (TorchRecord record : file.records()) {
            if (record.name().startsWith(prefix)) {
                held.put(
                        record.name().substring(prefix.length()),
                        new Storage(
                                record.size(),
                                record.size() == 0
                                        ? List.of()
                                        : List.of(
                                                new Content.Raw(
                                                        0,
                                                        source,
                                                        record.offset(),
                                                        record.size()))));
            }
        }
        if (held.isEmpty()) {
            values.put(key, file.tree());
        } else {
            values.put(key, PyNone.NONE);
            objects.put(key, new CarriedStateDict.Value(file.tree(), held));
        }
    }

    /// A state that is a number of Python's own.
    private void number(String key, PickleValue value) {
        State state = keys.states().get(key);
        if (state == null) {
            return;
        }
        ByteBuffer eight = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        Gathered of = Optional.ofNullable(parameters.get(untied(state.name()))).orElseThrow();
        switch (value) {
            case PyInt i when i.asLong().isPresent() ->
                    of.scalars.put(
                            state.state(),
                            new Scalar(DType.INT64, eight.putLong(i.asLong().getAsLong()).array()));
            case PyFloat(double d) ->
                    of.scalars.put(
                            state.state(), new Scalar(DType.FLOAT64, eight.putDouble(d).array()));
            case PickleValue _ -> {}
        }
    }

    private WholeParameter whole(String name, Gathered gathered) {
        Map<String, DType> dtypes = new LinkedHashMap<>();
        Map<String, List<Placed>> placed = new LinkedHashMap<>();
        gathered.states.forEach((state, tensor) -> put(state, tensor, dtypes, placed));
        put("weight", gathered.weight, dtypes, placed);
        Shape shape = gathered.weight.shape();
        boolean buffer = !gathered.ofModel || !isFloating(gathered.weight.dtype());
        boolean trained = keys.groups().containsKey(name) || !gathered.states.isEmpty();
        ParameterFacts facts =
                new ParameterFacts(
                        name,
                        shape,
                        shape,
                        dtypes,
                        gathered.scalars,
                        split(gathered),
                        !buffer && (trained || !keys.hasOptimizer()),
                        buffer,
                        keys.groups().getOrDefault(name, -1),
                        tied.entrySet().stream()
                                .filter(e -> e.getValue().equals(name))
                                .map(Map.Entry::getKey)
                                .toList(),
                        Map.of(),
                        List.of());
        return new WholeParameter(facts, placed);
    }

    private void put(
            String state,
            OfTensor tensor,
            Map<String, DType> dtypes,
            Map<String, List<Placed>> placed) {
        boolean isEmpty = tensor.shape().count() == 0;
        dtypes.put(state, tensor.dtype());
        placed.put(
                state,
                tensor.chunks().stream()
                        .filter(stored -> stored.chunk().extent().count() > 0 || isEmpty)
                        .map(
                                stored ->
                                        new Placed(
                                                items.tensor(stored.place()),
                                                stored.chunk().in(tensor.shape())))
                        .toList());
    }

    private Split split(Gathered gathered) {
        if (grid.tp() == 1) {
            return Split.UNKNOWN;
        }
        int dim = grid.tpDim(gathered.weight);
        SplitKind kind = dim == RankGrid.UNCUT ? SplitKind.REPLICATED : SplitKind.SHARDED;
        return new Split(kind, Math.max(dim, 0), List.of(), List.of(), false);
    }

    private List<Finding> findings(SideFiles side) {
        List<Finding> findings = new ArrayList<>(side.findings());
        String place = candidate.folder().toString();
        PlainNames.told(keys.wrappers()).ifPresent(told -> findings.add(new Finding(place, told)));
        if (!keys.unpaired().isEmpty()) {
            findings.add(
                    new Finding(
                            place,
                            "optimizer state whose weight neither its key nor `param_names`"
                                    + " beside its `params` names keeps its keys: "
                                    + named(keys.unpaired())));
        }
        if (!odd.isEmpty()) {
            findings.add(
                    new Finding(
                            place,
                            "tensors outside of the model keep their keys as names: "
                                    + named(odd)));
        }
        return findings;
    }

    private static String named(Collection<String> names) {
        int more = names.size() - NAMED;
        return names.stream().limit(NAMED).collect(Collectors.joining(", "))
                + (more > 0 ? " and %d more".formatted(more) : "");
    }
}
