package io.ucp.formats.megatrondist;

import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.WholeParameter.Placed;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.Groups;
import io.ucp.formats.mcore.ModelHints;
import io.ucp.formats.mcore.ModuleOrder;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Reads what a checkpoint says: the parameters of every key with their states, by the names that
/// the job's model has, and everything else as a job of Megatron-LM leaves it.
final class DistIndex {
    private static final Pattern STATE =
            Pattern.compile("^(?:chained_\\d+\\.)?optimizer\\.state\\.([^.]+)\\.(.+)$");
    private static final Pattern OF_OPTIMIZER =
            Pattern.compile("^(?:chained_\\d+\\.)?optimizer\\..*");
    private static final Set<String> MASTERS = Set.of("param", "fp32_param");
    private static final String WEIGHT = "weight";

    private final Candidate candidate;
    private final DistFiles files;
    private final Grid grid;
    private final Map<String, Gathered> parameters = new LinkedHashMap<>();
    private final Map<String, Stack> stacks = new LinkedHashMap<>();

    /// A key of the model.
    ///
    /// @param names of its parameters, by their indices along the leading dims
    private record Stack(StackedKey key, OfTensor tensor, Map<List<Long>, String> names) {}

    /// A parameter while its states are being found.
    record Gathered(
            String name,
            Shape shape,
            DType dtype,
            Map<String, DType> dtypes,
            Map<String, List<Placed>> states) {}

    private DistIndex(Candidate candidate) throws IOException {
        this.candidate = candidate;
        if (!Files.isDirectory(candidate.folder())) {
            throw new IncompleteCheckpointException(
                    candidate.folder().toString(), "no folder", "the folder of an iteration", "");
        }
        this.files = DistFiles.read(candidate.folder());
        this.grid = Grid.of(files.arguments(), candidate.folder());
    }

    static CheckpointIndex of(Candidate candidate) throws IOException {
        return new DistIndex(candidate).index();
    }

    private CheckpointIndex index() throws IOException {
        List<String> states = new ArrayList<>();
        for (Map.Entry<String, OfTensor> each : files.tensors().entrySet()) {
            if (OF_OPTIMIZER.matcher(each.getKey()).matches()) {
                states.add(each.getKey());
            } else {
                model(each.getKey(), each.getValue());
            }
        }
        if (parameters.isEmpty()) {
            throw new IncompleteCheckpointException(
                    candidate.folder().toString(), "no tensors of a model", "its parameters", "");
        }
        Buckets buckets = new Buckets(files, grid, parameters);
        for (String key : states) {
            Matcher m = STATE.matcher(key);
            if (m.matches()) {
                String state = MASTERS.contains(m.group(1)) ? "fp32" : m.group(1);
                state(key, state, m.group(2));
            } else if (!buckets.take(key)) {
                throw new RefusedException(
                        "'%s'".formatted(key),
                        "a tensor of an optimizer in a form that is not known",
                        "`optimizer.state.NAME.KEY` or gradient buffers of one optimizer",
                        "save it with --dist-ckpt-optim-fully-reshardable, or with"
                                + " --no-save-optim");
            }
        }
        buckets.place();
        CarriedJob job = CarriedJob.of(files, grid);
        List<WholeParameter> wholes = new ArrayList<>();
        Map<String, Scalar> scalars = job.steps();
        for (String name : ModuleOrder.sorted(List.copyOf(parameters.keySet()))) {
            Gathered each = Optional.ofNullable(parameters.get(name)).orElseThrow();
            wholes.add(whole(each, scalars));
        }
        Set<String> buffers = new TreeSet<>();
        parameters.keySet().stream().filter(Names::isBuffer).forEach(buffers::add);
        return new CheckpointIndex(
                MegatronDistFormat.NAME,
                candidate.folder(),
                candidate.tag(),
                files.common()
                        .find("iteration")
                        .map(PickleValue::asLong)
                        .orElse(OptionalLong.empty()),
                -1,
                grid.mesh(),
                List.of(),
                List.of(),
                wholes,
                ModelHints.of(files.arguments(), parameters.keySet(), buffers),
                job.files(),
                new Origin(
                        MegatronDistFormat.NAME,
                        candidate.tag(),
                        -1,
                        grid.mesh(),
                        Optional.empty()),
                findings(job, states.isEmpty()));
    }

    private List<Finding> findings(CarriedJob job, boolean weightsAlone) throws IOException {
        List<Finding> findings = new ArrayList<>();
        if (weightsAlone) {
            findings.add(
                    new Finding(
                            candidate.tag(),
                            "no optimizer was saved: the checkpoint holds the weights alone"));
        }
        for (String file : job.unnamed()) {
            findings.add(new Finding(file, "no key of .metadata is in it: it is left out"));
        }
        return findings;
    }

    private void model(String name, OfTensor tensor) throws IOException {
        StackedKey key = StackedKey.of(name, files.arguments());
        Shape shape = key.shape(tensor.shape());
        requireLayers(key, tensor);
        requireChunks(key, tensor);
        Map<List<Long>, String> names = new LinkedHashMap<>();
        for (List<Long> at : indices(key, tensor.shape())) {
            String parameter =
                    key.name(at.stream().mapToLong(Long::longValue).toArray(), files.arguments());
            names.put(at, parameter);
            Gathered gathered =
                    new Gathered(
                            parameter,
                            shape,
                            tensor.dtype(),
                            new LinkedHashMap<>(),
                            new LinkedHashMap<>());
            if (parameters.put(parameter, gathered) != null) {
                throw new IncompleteCheckpointException(
                        "'%s'".formatted(name),
                        "a parameter %s, which another key has too".formatted(parameter),
                        "each parameter once",
                        "");
            }
        }
        Stack stack = new Stack(key, tensor, names);
        stacks.put(name, stack);
        add(name, stack, WEIGHT, tensor.dtype(), boxes(tensor, key));
    }

    /// `args` and the keys are of one model.
    private void requireLayers(StackedKey key, OfTensor tensor)
            throws IncompleteCheckpointException {
        long said = files.arguments().number("num_layers").orElse(-1);
        boolean ofDecoder = key.key().startsWith("decoder.layers.") && key.layers();
        if (ofDecoder && said >= 0 && tensor.shape().dim(0) != said) {
            throw new IncompleteCheckpointException(
                    "'%s'".formatted(key.key()),
                    "%d layers".formatted(tensor.shape().dim(0)),
                    "%d, as `args.num_layers` says".formatted(said),
                    "the folder mixes two saves; copy the files of one save again");
        }
    }

    /// Where there are elements their bytes say that there are so many parameters; parameters
    /// without any have a chunk each, as Megatron-Core saves them.
    private static void requireChunks(StackedKey key, OfTensor tensor)
            throws IncompleteCheckpointException {
        if (tensor.shape().count() > 0) {
            return;
        }
        long chunks = tensor.chunks().size();
        boolean apart = tensor.chunks().stream().allMatch(c -> key.count(c.chunk(), 1) <= 1);
        if (key.count(Chunk.whole(tensor.shape()), chunks) > chunks || !apart) {
            throw new IncompleteCheckpointException(
                    "'%s'".formatted(key.key()),
                    "shape %s, in %d chunk%s"
                            .formatted(tensor.shape(), chunks, chunks == 1 ? "" : "s"),
                    "a chunk for each parameter without elements",
                    "copy the checkpoint again from where it was written");
        }
    }

    private static List<List<Long>> indices(StackedKey key, Shape whole) {
        Chunk all = Chunk.whole(whole);
        return key.in(all).stream().map(at -> Arrays.stream(at).boxed().toList()).toList();
    }

    /// A state of the same shape as its key of the model, or flat stretches of it.
    private void state(String key, String state, String of) throws IOException {
        Stack stack = stacks.get(of);
        OfTensor tensor = Optional.ofNullable(files.tensors().get(key)).orElseThrow();
        if (stack == null) {
            throw new IncompleteCheckpointException(
                    "'%s'".formatted(key),
                    "a state of '%s', which the model does not have".formatted(of),
                    "a key of the model behind the state's name",
                    "the folder mixes two saves; copy the files of one save again");
        }
        Optional<Shape> own = ModelSpace.shape(files.metadata().extra(), key);
        Shape shape = own.orElse(tensor.shape());
        // Flat stretches are of the parameter as it is, which its key has the other way round.
        Shape parameter =
                own.isPresent() && stack.key.turned()
                        ? Shape.of(StackedKey.turned(stack.tensor.shape().dims()))
                        : stack.tensor.shape();
        String other = own.isPresent() ? ofAllExperts(stack.key, shape, tensor) : "";
        if (!shape.equals(parameter) || !other.isEmpty()) {
            throw new RefusedException(
                    "'%s'".formatted(key),
                    "shape %s of a parameter %s%s".formatted(shape, parameter, other),
                    "states of the parameter's shape",
                    "of experts in one matrix only `args.moe_use_legacy_grouped_gemm` tells, and"
                        + " not where Transformer Engine was too old for a grouped layer: save it"
                        + " with --no-save-optim");
        }
        Map<List<Long>, List<Placed>> placed = new LinkedHashMap<>();
        if (own.isPresent()) {
            ModelSpace.place(key, tensor, shape, stack.key, files.items(), placed);
        } else {
            requireChunks(stack.key, tensor);
            placed.putAll(boxes(tensor, stack.key));
        }
        add(key, stack, state, tensor.dtype(), placed);
    }

    /// What speaks for flat stretches of all experts in one matrix, though `args` say that each is
    /// a parameter: their columns are cut, gate and values lie side by side. The rows of a
    /// parameter of its own are cut. Where neither is, and the matrix is square, nothing tells.
    private String ofAllExperts(StackedKey key, Shape shape, OfTensor tensor) {
        long[] cuts = tensor.shape().dims();
        int rows = shape.rank() - 2;
        if (!key.experts()
                || !key.key().endsWith(".linear_fc1.weight")
                || rows < key.lead()
                || cuts.length != shape.rank() + 1) {
            return "";
        }
        if (cuts[rows + 1] > 1) {
            return ", cut along its columns";
        }
        boolean square = shape.dim(rows) == shape.dim(rows + 1);
        return square && cuts[rows] == 1 && files.arguments().is("moe_grouped_gemm")
                ? ", square and not cut"
                : "";
    }

    private void add(
            String key,
            Stack stack,
            String state,
            DType dtype,
            Map<List<Long>, List<Placed>> placed)
            throws IncompleteCheckpointException {
        for (Map.Entry<List<Long>, String> each : stack.names.entrySet()) {
            String name = each.getValue();
            Gathered gathered = Optional.ofNullable(parameters.get(name)).orElseThrow();
            gathered.dtypes.put(state, dtype);
            if (gathered.states.put(state, placed.getOrDefault(each.getKey(), List.of())) != null) {
                throw new IncompleteCheckpointException(
                        "'%s'".formatted(key),
                        "`%s` of %s, which another key holds too".formatted(state, name),
                        "each state of a parameter once",
                        "the folder mixes two saves; copy the files of one save again");
            }
        }
    }

    /// The chunks of every parameter of a key, by its indices along the leading dims.
    private Map<List<Long>, List<Placed>> boxes(OfTensor tensor, StackedKey key)
            throws IOException {
        Map<List<Long>, List<Placed>> placed = new LinkedHashMap<>();
        Shape own = key.shape(tensor.shape());
        boolean isEmpty = tensor.shape().count() == 0;
        for (Stored stored : tensor.chunks()) {
            Chunk chunk = stored.chunk();
            if (chunk.extent().count() == 0 && !isEmpty) {
                continue;
            }
            TensorEntry entry = files.items().tensor(stored.place());
            Shape extent = Shape.of(key.own(chunk.extent().dims()));
            long[] strides = key.own(entry.strides());
            Piece piece = Piece.box(own, key.own(chunk.offsets()), extent.dims());
            for (long[] at : key.in(chunk)) {
                long index = 0;
                for (int d = 0; d < key.lead(); d++) {
                    index += (at[d] - chunk.offsets()[d]) * entry.strides()[d];
                }
                long offset = entry.offset() + index * entry.dtype().width();
                TensorEntry part =
                        new TensorEntry(entry.source(), offset, entry.dtype(), extent, strides);
                placed.computeIfAbsent(Arrays.stream(at).boxed().toList(), _ -> new ArrayList<>())
                        .add(new Placed(part, piece));
            }
        }
        return placed;
    }

    private WholeParameter whole(Gathered gathered, Map<String, Scalar> scalars) {
        String name = gathered.name();
        boolean buffer = Names.isBuffer(name);
        boolean trained = !buffer && gathered.states.size() > 1;
        boolean apart = grid.expertOptimizer() && Names.isExpert(name);
        int group =
                trained
                        ? Groups.of(files.arguments()).number(name, gathered.shape().rank(), apart)
                        : -1;
        Map<String, Long> numbers = files.arguments().numbers();
        Shape real = Names.isVocabulary(name) ? real(gathered.shape(), numbers) : gathered.shape();
        boolean tied =
                Names.isEmbedding(name)
                        && files.arguments().tied()
                        && !parameters.containsKey(Names.headOf(name));
        ParameterFacts facts =
                new ParameterFacts(
                        name,
                        gathered.shape(),
                        real,
                        gathered.dtypes,
                        trained ? scalars : Map.of(),
                        Split.UNKNOWN,
                        !buffer,
                        buffer,
                        group,
                        tied ? List.of(Names.headOf(name)) : List.of(),
                        Map.of(),
                        List.of());
        return new WholeParameter(facts, gathered.states);
    }

    private static Shape real(Shape shape, Map<String, Long> numbers) {
        long padded = numbers.getOrDefault("padded_vocab", -1L);
        long rows = numbers.getOrDefault("vocab", padded);
        if (rows >= padded || shape.rank() == 0 || shape.dim(0) != padded) {
            return shape;
        }
        long[] dims = shape.dims();
        dims[0] = rows;
        return Shape.of(dims);
    }
}
