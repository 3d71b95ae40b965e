package io.ucp.formats.statedict;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedTensors;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.WholeParameter.Placed;
import io.ucp.formats.hub.ModelConfig;
import io.ucp.formats.hub.ModelWeights;
import io.ucp.formats.hub.SideFiles;
import io.ucp.formats.hub.WeightMap;
import io.ucp.formats.torch.PlainNames;
import io.ucp.formats.torch.TorchContents;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchRecord;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Floats;
import io.ucp.tensor.Piece;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// Reads one state dict, or those of several files as one.
final class StateDictIndex {
    /// A file that holds more than weights: its object is carried for that.
    static final String ROLE = "state_dict";

    private final Candidate candidate;
    private final boolean alone;
    private final WeightFiles files;
    private final List<StateDict> dicts = new ArrayList<>();
    private final List<Finding> findings = new ArrayList<>();

    /// Parameters by their plain names, and what else they are called.
    private final Map<String, TensorEntry> model = new LinkedHashMap<>();

    private final Map<String, String> aliases = new LinkedHashMap<>();
    private PlainNames names = PlainNames.of(Set.of());

    private StateDictIndex(Candidate candidate) throws IOException {
        this.candidate = candidate;
        this.alone = Files.isRegularFile(candidate.folder());
        WeightFiles found =
                WeightFiles.in(candidate.folder()).stream()
                        .findFirst()
                        .orElseThrow(() -> nothing(candidate.folder()));
        found.requireAll(alone);
        if (found.index().isPresent()) {
            WeightMap map = WeightMap.read(found.folder().resolve(found.index().get()));
            map.requireFiles();
            found = new WeightFiles(found.folder(), new ArrayList<>(map.files()), found.index());
            open(found);
            map.agree(dicts.stream().map(StateDictIndex::holder).toList());
        } else {
            open(found);
        }
        this.files = found;
    }

    private static IncompleteCheckpointException nothing(Path path) {
        return new IncompleteCheckpointException(
                path.toString(), "no state dict", "a torch file", "name the file that is meant");
    }

    private void open(WeightFiles found) throws IOException {
        for (String file : found.files()) {
            dicts.add(StateDict.open(found.folder().resolve(file)));
        }
    }

    private static WeightMap.Holder holder(StateDict dict) {
        Map<String, Long> tensors = new LinkedHashMap<>();
        dict.tensors().forEach((name, tensor) -> tensors.put(name, tensor.offset()));
        return new WeightMap.Holder(dict.path(), tensors);
    }

    static CheckpointIndex of(Candidate candidate) throws IOException {
        return new StateDictIndex(candidate).index();
    }

    /// What the containers' checksums say is damaged.
    static List<Finding> damage(CheckpointIndex index) throws IOException {
        List<Finding> found = new ArrayList<>();
        Set<Path> files = new HashSet<>();
        for (WholeParameter whole : index.wholes()) {
            whole.states()
                    .values()
                    .forEach(all -> all.forEach(p -> files.add(p.tensor().source().path())));
        }
        for (Path path : files.stream().sorted().toList()) {
            try {
                TorchFile file = TorchFile.open(path);
                for (TorchRecord record : file.records()) {
                    file.verifyCrc(record);
                }
            } catch (MalformedFileException e) {
                found.add(new Finding(path.toString(), e.problem()));
            }
        }
        return found;
    }

    private CheckpointIndex index() throws IOException {
        name();
        for (StateDict dict : dicts) {
            dict.unread().forEach(said -> findings.add(new Finding(dict.label(), said)));
        }
        SideFiles side = alone ? SideFiles.NONE : sideFiles();
        findings.addAll(side.findings());
        ModelConfig config = config(side);
        config.tied(model.keySet()).forEach(aliases::putIfAbsent);
        Optional<StateDict> beside = optimizerFile(side);
        OptimizerBinding optimizer = optimizer(beside);
        optimizer
                .told()
                .ifPresent(said -> findings.add(new Finding(dicts.getFirst().label(), said)));
        List<WholeParameter> wholes = wholes(optimizer);
        return new CheckpointIndex(
                StateDictFormat.NAME,
                candidate.folder(),
                candidate.tag(),
                iteration(),
                -1,
                List.of(),
                List.of(),
                List.of(),
                wholes,
                LayoutHints.of(wholes, aliases, config.numbers()),
                carried(side, beside, optimizer, wholes),
                new Origin(StateDictFormat.NAME, candidate.tag(), -1, List.of(), Optional.empty()),
                findings);
    }

    /// Names without wrappers, over all files together.
    private void name() throws IOException {
        Map<String, Path> where = new LinkedHashMap<>();
        for (StateDict dict : dicts) {
            for (String name : dict.tensors().keySet()) {
                Path other = where.put(name, dict.path());
                if (other != null) {
                    throw new IncompleteCheckpointException(
                            dict.path().toString(),
                            "'%s', which %s holds too".formatted(name, other.getFileName()),
                            "each tensor once",
                            "copy the model again from where it was written");
                }
            }
        }
        names = PlainNames.of(where.keySet());
        names.requireApart(dicts.getFirst().path().toString(), name -> name);
        PlainNames.told(names.removed())
                .ifPresent(told -> findings.add(new Finding(dicts.getFirst().label(), told)));
        Map<List<Object>, String> first = new HashMap<>();
        for (StateDict dict : dicts) {
            dict.tensors()
                    .forEach(
                            (saved, tensor) -> {
                                String name = names.plain().getOrDefault(saved, saved);
                                String other =
                                        tensor.size() == 0
                                                ? null
                                                : first.putIfAbsent(elements(tensor), name);
                                if (other == null) {
                                    model.put(name, tensor);
                                } else {
                                    aliases.put(name, other);
                                }
                            });
        }
    }

    /// Equal for tensors that are the same elements of one storage.
    private static List<Object> elements(TensorEntry tensor) {
        return List.of(
                tensor.source().path(),
                tensor.offset(),
                tensor.dtype(),
                tensor.shape(),
                Arrays.toString(tensor.strides()));
    }

    private SideFiles sideFiles() throws IOException {
        Set<String> taken = new HashSet<>(files.files());
        files.index().ifPresent(taken::add);
        return SideFiles.read(files.folder(), taken);
    }

    private static ModelConfig config(SideFiles side) throws IOException {
        Optional<CarriedFile> file = SideFiles.config(side.carried());
        return file.isPresent() && file.get().file().isPresent()
                ? ModelConfig.read(file.get().file().get())
                : ModelConfig.NONE;
    }

    /// `optimizer.pt` beside the weights, where its states are keyed by names.
    private Optional<StateDict> optimizerFile(SideFiles side) throws IOException {
        boolean there =
                side.carried().stream().anyMatch(f -> f.path().equals(WeightFiles.OPTIMIZER));
        if (!there) {
            return Optional.empty();
        }
        TorchContents contents;
        try {
            contents =
                    new TorchContents(
                            TorchFile.open(files.folder().resolve(WeightFiles.OPTIMIZER)));
        } catch (MalformedFileException e) {
            findings.add(
                    new Finding(
                            WeightFiles.OPTIMIZER,
                            "taken along by its bytes, for it cannot be read: " + e.problem()));
            return Optional.empty();
        }
        PickleValue root = contents.file().tree();
        boolean named =
                root.find("state")
                        .flatMap(PickleValue::asDict)
                        .filter(
                                state ->
                                        state.size() > 0
                                                && state.entries().stream()
                                                        .allMatch(
                                                                e ->
                                                                        e.key()
                                                                                .asText()
                                                                                .filter(
                                                                                        this
                                                                                                ::isName)
                                                                                .isPresent()))
                        .isPresent();
        return named
                ? Optional.of(
                        new StateDict(contents, Map.of(), Optional.of(root), false, List.of()))
                : Optional.empty();
    }

    private boolean isName(String text) {
        return names.find(text).map(names.plain()::get).filter(model::containsKey).isPresent();
    }

    private OptimizerBinding optimizer(Optional<StateDict> beside) throws IOException {
        Optional<StateDict> own =
                dicts.stream().filter(dict -> dict.optimizer().isPresent()).findFirst();
        Optional<StateDict> from = own.isPresent() ? own : beside;
        return from.isEmpty()
                ? OptimizerBinding.NONE
                : OptimizerBinding.of(
                        from.get().contents(), from.get().optimizer().orElseThrow(), model, names);
    }

    private List<WholeParameter> wholes(OptimizerBinding optimizer) {
        Map<String, List<String>> named = new HashMap<>();
        aliases.forEach(
                (alias, name) -> named.computeIfAbsent(name, _ -> new ArrayList<>()).add(alias));
        List<WholeParameter> wholes = new ArrayList<>();
        model.forEach(
                (name, tensor) ->
                        wholes.add(
                                whole(
                                        name,
                                        tensor,
                                        named.getOrDefault(name, List.of()),
                                        optimizer)));
        return wholes;
    }

    private static WholeParameter whole(
            String name, TensorEntry tensor, List<String> aliases, OptimizerBinding optimizer) {
        Map<String, List<Placed>> placed = new LinkedHashMap<>();
        Map<String, DType> dtypes = new LinkedHashMap<>();
        Map<String, TensorEntry> all = new LinkedHashMap<>();
        all.put(ModelWeights.WEIGHT, tensor);
        all.putAll(optimizer.states().getOrDefault(name, Map.of()));
        all.forEach(
                (state, entry) -> {
                    placed.put(state, List.of(new Placed(entry, Piece.whole(entry.shape()))));
                    dtypes.put(state, entry.dtype());
                });
        Map<String, Scalar> scalars = optimizer.scalars().getOrDefault(name, Map.of());
        Integer group = optimizer.groups().get(name);
        boolean trained = Floats.covers(tensor.dtype());
        return new WholeParameter(
                new ParameterFacts(
                        name,
                        tensor.shape(),
                        tensor.shape(),
                        dtypes,
                        scalars,
                        Split.UNKNOWN,
                        trained,
                        isCount(tensor.dtype()),
                        group == null ? -1 : group,
                        aliases,
                        Map.of(),
                        List.of()),
                placed);
    }

    /// Whole numbers and truths are not trained.
    private static boolean isCount(DType dtype) {
        return switch (dtype) {
            case INT64, INT32, INT16, BOOL -> true;
            case DType _ -> false;
        };
    }

    /// The script's own count, as a number or a tensor without dimensions.
    private OptionalLong iteration() throws IOException {
        TorchContents contents = dicts.getFirst().contents();
        for (String key : List.of("iteration", "global_step", "step")) {
            Optional<PickleValue> value = contents.file().tree().find(key);
            Optional<Scalar> number =
                    value.isEmpty() ? Optional.empty() : contents.scalar(value.get());
            if (number.isPresent() && number.get().dtype() == DType.INT64) {
                return OptionalLong.of(
                        ByteBuffer.wrap(number.get().bytes())
                                .order(ByteOrder.LITTLE_ENDIAN)
                                .getLong());
            }
        }
        return OptionalLong.empty();
    }

    private List<CarriedFile> carried(
            SideFiles side,
            Optional<StateDict> beside,
            OptimizerBinding optimizer,
            List<WholeParameter> wholes)
            throws IOException {
        List<CarriedFile> carried = new ArrayList<>();
        for (StateDict dict : dicts) {
            boolean form = dict.whole();
            carried.add(naming(dict, dict.label(), form ? CarriedFile.FORM : ROLE, wholes));
        }
        if (files.index().isPresent()) {
            String index = files.index().get();
            carried.add(
                    new CarriedFile(
                            index,
                            CarriedFile.FORM,
                            Coordinate.NONE,
                            Optional.of(PlainFile.of(files.folder().resolve(index))),
                            Optional.empty(),
                            Map.of()));
        }
        boolean taken = beside.isPresent() && !optimizer.states().isEmpty();
        for (CarriedFile file : side.carried()) {
            if (taken && file.path().equals(WeightFiles.OPTIMIZER)) {
                carried.add(naming(beside.get(), file.path(), ROLE, wholes));
            } else {
                carried.add(file);
            }
        }
        return carried;
    }

    private static CarriedFile naming(
            StateDict dict, String as, String role, List<WholeParameter> wholes) {
        List<CarriedTensors.Named> named = new ArrayList<>();
        for (WholeParameter whole : wholes) {
            whole.tensors()
                    .forEach(
                            (state, tensor) -> {
                                if (tensor.source().equals(dict.contents().file().source())) {
                                    named.add(
                                            new CarriedTensors.Named(
                                                    tensor, whole.facts().name(), state));
                                }
                            });
        }
        return CarriedTensors.naming(dict.contents().carried(as, role, Coordinate.NONE), named);
    }
}
