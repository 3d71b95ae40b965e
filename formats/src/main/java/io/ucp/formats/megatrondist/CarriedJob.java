package io.ucp.formats.megatrondist;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.Coordinate;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.StateDictEntry.OfObject;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.GroupedExperts;
import io.ucp.formats.mcore.Roles;
import io.ucp.formats.megatrondist.DistFiles.Held;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// What a checkpoint holds beside its parameters, as a job of Megatron-LM leaves it: a file for
/// each model-parallel rank, made of the common state and the rank's generators; states of layers
/// by global names; all other objects by their keys.
final class CarriedJob {
    private static final Pattern SHARD =
            Pattern.compile("^(.+)/shard_(\\d{1,9}(?:\\.\\d{1,9})*)_(\\d{1,9}(?:\\.\\d{1,9})*)$");
    private static final String OF_LAYER = "._extra_state";
    private static final Pattern OF_OPTIMIZER =
            Pattern.compile("^(?:chained_\\d+\\.)?optimizer\\..*");
    private static final String RNG = "rng_state";

    /// Digests of the files beside it, which another form does not have. Source: Megatron-LM
    /// `core/dist_checkpointing/validation.py`.
    private static final String INTEGRITY = "integrity.json";

    private static final String FORM = "param_state_sharding_type";

    /// Of the common state, what the legacy form lacks.
    static final Set<String> OF_DIST = Set.of("rerun_state_machine", "content_metadata");

    private final DistFiles files;
    private final Grid grid;
    private final PickleValue optimizer;
    private final Map<String, Held> rest = new LinkedHashMap<>();
    private final Map<String, Held> layers = new LinkedHashMap<>();
    private final Map<List<Long>, Held> generators = new LinkedHashMap<>();

    private CarriedJob(DistFiles files, Grid grid) throws IOException {
        this.files = files;
        this.grid = grid;
        PickleValue settings = files.common().find("optimizer").orElse(PyDict.empty());
        for (Map.Entry<String, Held> each : files.objects().entrySet()) {
            Matcher shard = SHARD.matcher(each.getKey());
            String name = shard.matches() ? shard.group(1) : each.getKey();
            if (isMadeUp(name, each.getValue())) {
                continue;
            }
            if (name.endsWith(OF_LAYER) && shard.matches()) {
                StackedKey key = StackedKey.of(name, files.arguments());
                long[] at = numbers(shard.group(2));
                layers.put(
                        at.length < key.lead() ? name : key.name(at, files.arguments()),
                        each.getValue());
            } else if (name.equals(RNG) && shard.matches()) {
                generator(shard, each);
            } else if (Buckets.isObject(name)) {
                requireNoTensors(each);
                settings = Buckets.settings(settings, name, each.getValue().tree());
            } else if (OF_OPTIMIZER.matcher(name).matches()) {
                throw new RefusedException(
                        "'%s'".formatted(each.getKey()),
                        "states of an optimizer in one object",
                        "in tensors: how the parameters lie in the object was never proven",
                        "load it with Megatron-LM and save it with"
                                + " --dist-ckpt-optim-fully-reshardable, or with --no-save-optim");
            } else {
                rest.put(each.getKey(), each.getValue());
            }
        }
        this.optimizer = settings;
    }

    static CarriedJob of(DistFiles files, Grid grid) throws IOException {
        return new CarriedJob(files, grid);
    }

    /// The settings go on without storages, as numbers and texts of the common state: a tensor
    /// among them (`step` of an optimizer for CUDA graphs) would be left behind.
    private static void requireNoTensors(Map.Entry<String, Held> object) {
        if (!object.getValue().storages().isEmpty()) {
            throw new RefusedException(
                    "'%s'".formatted(object.getKey()),
                    "tensors among the settings of an optimizer",
                    "numbers, texts and lists, as Megatron-LM's own optimizers have them",
                    Buckets.REMEDY);
        }
    }

    /// Experts in one matrix have no layers that keep anything; that each has nothing is saved for
    /// a model that has them one by one.
    private boolean isMadeUp(String name, Held held) {
        return name.endsWith(OF_LAYER)
                && held.tree().isNone()
                && GroupedExperts.said(files.arguments())
                && StackedKey.of(name, files.arguments()).experts();
    }

    private static long[] numbers(String dotted) {
        return Stream.of(dotted.split("\\.", -1)).mapToLong(Long::parseLong).toArray();
    }

    /// Of a stage and a tensor-parallel rank; where experts are shared out, later releases add a
    /// data-parallel rank, of which the first stands for the others.
    private void generator(Matcher shard, Map.Entry<String, Held> each)
            throws IncompleteCheckpointException {
        long[] at = numbers(shard.group(2));
        long[] of = numbers(shard.group(3));
        boolean known =
                at.length == of.length
                        && (of.length == 2 || of.length == 3)
                        && of[0] == grid.pp()
                        && of[1] == grid.tp();
        if (!known) {
            throw new IncompleteCheckpointException(
                    "'%s'".formatted(each.getKey()),
                    "generators of ranks %s".formatted(shard.group(3)),
                    "of %s, as `args` say".formatted(grid),
                    "the folder mixes two saves; copy the files of one save again");
        }
        if (at.length == 2 || at[2] == 0) {
            generators.put(List.of(at[0], at[1]), each.getValue());
        } else {
            rest.put(each.getKey(), each.getValue());
        }
    }

    /// The step that all groups of all optimizers are at.
    Map<String, Scalar> steps() throws IOException {
        Map<String, Scalar> scalars = new LinkedHashMap<>();
        for (PickleValue each : optimizers()) {
            PickleValue inner = each.find("optimizer").orElse(each);
            List<PickleValue> held = new ArrayList<>();
            inner.find("state", "common_step").ifPresent(held::add);
            for (PickleValue group :
                    inner.find("param_groups").flatMap(PickleValue::asSequence).orElse(List.of())) {
                group.find("step").filter(v -> !v.isNone()).ifPresent(held::add);
            }
            for (PickleValue step : held) {
                Optional<Scalar> number = number(step);
                Scalar before = number.map(n -> scalars.putIfAbsent("step", n)).orElse(null);
                if (before != null && !before.equals(number.orElseThrow())) {
                    throw new IncompleteCheckpointException(
                            files.folder().toString(),
                            "groups of the optimizer at different steps",
                            "one step: which group a parameter is of, no key says",
                            "save it with --no-save-optim");
                }
            }
        }
        return scalars;
    }

    private static Optional<Scalar> number(PickleValue value) {
        ByteBuffer eight = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        if (value.asLong().isPresent()) {
            return Optional.of(
                    new Scalar(DType.INT64, eight.putLong(value.asLong().getAsLong()).array()));
        }
        return value instanceof PyFloat(double number)
                ? Optional.of(new Scalar(DType.FLOAT64, eight.putDouble(number).array()))
                : Optional.empty();
    }

    /// One, or those of dense parameters and of experts.
    private List<PickleValue> optimizers() {
        List<PickleValue> chained = new ArrayList<>();
        for (long i = 0; optimizer instanceof PyDict dict && dict.find(i).isPresent(); i++) {
            chained.add(dict.find(i).orElseThrow());
        }
        return chained.isEmpty() ? List.of(optimizer) : chained;
    }

    List<CarriedFile> files() throws IOException {
        List<CarriedFile> carried = new ArrayList<>();
        for (int pp = 0; pp < grid.pp(); pp++) {
            for (int tp = 0; tp < grid.tp(); tp++) {
                carried.add(rank(pp, tp));
            }
        }
        carried.addAll(objects("layer_states", Roles.LAYERS, layers));
        Map<String, Held> others = new LinkedHashMap<>();
        Map<String, PickleValue> common = new LinkedHashMap<>();
        for (PyDict.Entry entry : files.common().entries()) {
            entry.key()
                    .asText()
                    .filter(OF_DIST::contains)
                    .ifPresent(key -> common.put(key, entry.value()));
        }
        if (!common.isEmpty()) {
            others.put(DistFiles.COMMON_KEY, new Held(PyDict.of(common), Map.of()));
        }
        others.putAll(rest);
        carried.addAll(objects("sharded_objects", Roles.OBJECTS, others));
        carried.addAll(side());
        return carried;
    }

    private CarriedFile rank(int pp, int tp) {
        Optional<Held> random = Optional.ofNullable(generators.get(List.of((long) pp, (long) tp)));
        Map<String, PickleValue> root = new LinkedHashMap<>();
        for (PyDict.Entry entry : files.common().entries()) {
            String key = entry.key().asText().orElse("");
            if (OF_DIST.contains(key)) {
                continue;
            }
            if (key.equals("num_floating_point_operations_so_far")) {
                random.ifPresent(held -> root.put(RNG, held.tree()));
            }
            root.put(key, key.equals("optimizer") ? legacyOptimizer() : entry.value());
            if (key.equals("iteration")) {
                root.put("model", PyDict.empty());
            }
        }
        root.putIfAbsent("model", PyDict.empty());
        random.ifPresent(held -> root.putIfAbsent(RNG, held.tree()));
        if (optimizer instanceof PyDict dict && dict.size() == 0) {
            root.remove("optimizer");
        }
        return new CarriedFile(
                String.format(Locale.ROOT, "mp_rank_%02d_%03d/%s", tp, pp, Roles.MODEL_FILE),
                Roles.MODEL,
                grid.dense(pp, tp),
                Optional.empty(),
                Optional.of(PyDict.of(root)),
                random.map(Held::storages).orElse(Map.of()));
    }

    /// As the legacy form has it, whose tensors tell a plain optimizer from a distributed one.
    private PickleValue legacyOptimizer() {
        List<PickleValue> each = new ArrayList<>();
        for (PickleValue optimizer : optimizers()) {
            PyDict dict = optimizer.asDict().orElse(PyDict.empty());
            boolean distributed =
                    dict.has(FORM) || files.arguments().is("use_distributed_optimizer");
            each.add(distributed ? dict.without(FORM) : plain(dict));
        }
        return each.size() == 1 ? each.getFirst() : PyList.of(each);
    }

    private static PyDict plain(PyDict optimizer) {
        Optional<PyDict> inner = optimizer.find("optimizer").flatMap(PickleValue::asDict);
        return inner.isPresent()
                ? optimizer
                        .with("optimizer", inner.get().with("state", PyDict.empty()))
                        .with("fp32_from_fp16_params", PyList.of())
                : optimizer.with("state", PyDict.empty());
    }

    /// Those with tensors in files of their own.
    private static List<CarriedFile> objects(String path, String role, Map<String, Held> held) {
        List<CarriedFile> carried = new ArrayList<>();
        List<PyDict.Entry> plain = new ArrayList<>();
        held.forEach(
                (key, object) -> {
                    PyDict.Entry entry = new PyDict.Entry(PyText.of(key), object.tree());
                    if (object.storages().isEmpty()) {
                        plain.add(entry);
                    } else {
                        carried.add(
                                file(
                                        String.format(
                                                Locale.ROOT, "%s/%d.pt", path, carried.size()),
                                        role,
                                        List.of(entry),
                                        object.storages()));
                    }
                });
        if (!plain.isEmpty()) {
            carried.addFirst(file(path + ".pt", role, plain, Map.of()));
        }
        return carried;
    }

    private static CarriedFile file(
            String path, String role, List<PyDict.Entry> entries, Map<String, Storage> storages) {
        return new CarriedFile(
                path,
                role,
                Coordinate.NONE,
                Optional.empty(),
                Optional.of(PyDict.of(entries)),
                storages);
    }

    private static boolean isOwn(String path) {
        return path.equals(DistcpMetadata.FILE)
                || path.equals(DistFiles.CONFIG)
                || path.equals(DistFiles.COMMON_FILE)
                || path.equals(INTEGRITY)
                || path.endsWith(".distcp");
    }

    /// Files that Megatron-Core does not read, such as a tokenizer's.
    private List<CarriedFile> side() throws IOException {
        List<CarriedFile> carried = new ArrayList<>();
        for (Path path : all()) {
            String name = name(path);
            if (!isOwn(name)) {
                carried.add(
                        new CarriedFile(
                                name,
                                Roles.SIDE,
                                Coordinate.NONE,
                                Optional.of(PlainFile.of(path)),
                                Optional.empty(),
                                Map.of()));
            }
        }
        return carried;
    }

    private String name(Path path) {
        return files.folder().relativize(path).toString().replace('\\', '/');
    }

    private List<Path> all() throws IOException {
        try (Stream<Path> entries = Files.walk(files.folder())) {
            return entries.filter(Files::isRegularFile).sorted().toList();
        }
    }

    /// Files of items that no key is in.
    List<String> unnamed() throws IOException {
        Set<String> named = new HashSet<>();
        files.metadata()
                .entries()
                .values()
                .forEach(
                        entry -> {
                            switch (entry) {
                                case OfObject object -> named.add(object.place().file());
                                case OfTensor tensor ->
                                        tensor.chunks().forEach(c -> named.add(c.place().file()));
                            }
                        });
        return all().stream()
                .map(this::name)
                .filter(n -> n.endsWith(".distcp") && !named.contains(n))
                .toList();
    }
}
