package io.ucp.formats.megatrondist;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter.Placed;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.mcore.GradientBuffer;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.GroupedExperts;
import io.ucp.formats.mcore.ModuleOrder;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.megatrondist.DistIndex.Gathered;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// States of a distributed optimizer in the form `dp_reshardable`: the gradient buffers of each
/// model-parallel rank, bucket by bucket, without a name.
///
/// ```
/// optimizer.distributed.dp_group_idx_{tp + TP * pp}.gbuf_idx_{model chunk}.dtype_(..)
///     .bucket_idx_{b}.{param, exp_avg, exp_avg_sq}    1-d, all elements of the bucket
///     .optimizer, .per_bucket_numel, .per_bucket_numel_unpadded    objects
/// ```
///
/// Which parameter lies where, [GradientBuffer] says. It is proven by the chunks: the framework
/// cuts a bucket where a parameter begins and where it ends, and gaps are chunks of their own (what
/// is in them is no state, and differs from save to save).
///
/// Source: Megatron-LM `core/optimizer/distrib_optimizer.py`
/// (`sharded_param_state_dp_reshardable`).
final class Buckets {
    static final String REMEDY =
            "load it with Megatron-LM and save it with --dist-ckpt-optim-fully-reshardable";
    private static final String PREFIX = "optimizer\\.distributed\\.dp_group_idx_(\\d{1,7})\\.";
    private static final Pattern KEY =
            Pattern.compile(
                    "^%sgbuf_idx_(\\d{1,5})\\.dtype_\\(torch\\.(\\w+), torch\\.\\w+\\)\\.bucket_idx_(\\d{1,7})\\.(\\w+)$"
                            .formatted(PREFIX));
    private static final Pattern OBJECT =
            Pattern.compile(
                    "^%s(optimizer|per_bucket_numel|per_bucket_numel_unpadded)$".formatted(PREFIX));

    private final DistFiles files;
    private final Grid grid;
    private final Map<String, Gathered> parameters;
    private final Map<Buffer, Map<String, NavigableMap<Integer, String>>> keys =
            new LinkedHashMap<>();

    /// Of one dtype, of a model chunk of a model-parallel rank.
    private record Buffer(int group, int chunk, String dtype) {}

    /// A parameter as a rank holds it.
    ///
    /// @param pieces boxes of the parameter at their local positions
    /// @param counted a state of it is taken from here: it is not a copy of another stage's
    private record Local(Gathered of, List<Piece> pieces, long count, boolean counted) {}

    /// @param from position of its first element in the buffer
    private record Cut(long from, long to, TensorEntry tensor) {}

    Buckets(DistFiles files, Grid grid, Map<String, Gathered> parameters) {
        this.files = files;
        this.grid = grid;
        this.parameters = parameters;
    }

    static boolean isObject(String name) {
        return OBJECT.matcher(name).matches();
    }

    /// The settings of the optimizer with what an object adds: groups are the same on all ranks.
    static PickleValue settings(PickleValue settings, String name, PickleValue object)
            throws IncompleteCheckpointException {
        Matcher m = OBJECT.matcher(name);
        if (!m.matches() || !m.group(2).equals("optimizer")) {
            return settings;
        }
        PyDict dict = settings.asDict().orElse(PyDict.empty());
        Optional<PickleValue> before = dict.find("optimizer");
        if (before.isPresent() && !written(before.get()).equals(written(object))) {
            throw new IncompleteCheckpointException(
                    name,
                    "other groups than those of another rank",
                    "the same groups on all ranks",
                    REMEDY);
        }
        return before.isPresent() ? dict : dict.with("optimizer", object);
    }

    /// What can be compared: each group, and the rest. Releases before 2025 had the group first
    /// that a rank's first parameter is of.
    private static Set<ByteBuffer> written(PickleValue optimizer) {
        PyDict dict = optimizer.asDict().orElse(PyDict.empty());
        List<PickleValue> all =
                new ArrayList<>(
                        dict.find("param_groups")
                                .flatMap(PickleValue::asSequence)
                                .orElse(List.of(optimizer)));
        all.add(dict.without("param_groups"));
        return all.stream()
                .map(value -> ByteBuffer.wrap(PickleWriter.write(value)))
                .collect(Collectors.toSet());
    }

    /// @return whether the key is of this form
    boolean take(String key) throws IncompleteCheckpointException {
        Matcher m = KEY.matcher(key);
        if (!m.matches()) {
            return false;
        }
        Buffer buffer =
                new Buffer(Integer.parseInt(m.group(1)), Integer.parseInt(m.group(2)), m.group(3));
        String before =
                keys.computeIfAbsent(buffer, _ -> new LinkedHashMap<>())
                        .computeIfAbsent(m.group(5), _ -> new TreeMap<>())
                        .put(Integer.parseInt(m.group(4)), key);
        if (before != null) {
            throw new IncompleteCheckpointException(
                    "'%s'".formatted(key),
                    "a bucket that '%s' is too".formatted(before),
                    "each bucket of a buffer once",
                    REMEDY);
        }
        return true;
    }

    /// Gives every parameter its states.
    void place() throws IncompleteCheckpointException {
        if (keys.isEmpty()) {
            return;
        }
        if (GroupedExperts.said(files.arguments())) {
            throw new RefusedException(
                    files.folder().toString(),
                    "gradient buffers with all experts of a layer in one matrix"
                            + " (--moe-use-legacy-grouped-gemm)",
                    "experts one by one: how one matrix lies was never proven",
                    REMEDY);
        }
        if (grid.expertOptimizer()) {
            throw new RefusedException(
                    files.folder().toString(),
                    "gradient buffers of two optimizers",
                    "one: how those of the experts lie was never proven",
                    REMEDY);
        }
        for (Map.Entry<Buffer, Map<String, NavigableMap<Integer, String>>> each : keys.entrySet()) {
            place(each.getKey(), each.getValue());
        }
        for (Gathered gathered : parameters.values()) {
            if (!Names.isBuffer(gathered.name())) {
                for (Map.Entry<String, List<Placed>> state : gathered.states().entrySet()) {
                    requireWhole(gathered, state.getKey(), state.getValue());
                }
            }
        }
    }

    private void requireWhole(Gathered gathered, String state, List<Placed> placed)
            throws IncompleteCheckpointException {
        long held = placed.stream().mapToLong(p -> p.piece().count()).sum();
        if (held != gathered.shape().count() || gathered.states().size() < 2) {
            throw new IncompleteCheckpointException(
                    "%s: %s".formatted(gathered.name(), state),
                    "%d elements in the gradient buffers".formatted(held),
                    "%d, in buffers of every rank".formatted(gathered.shape().count()),
                    "a rank's buffers are missing; copy the checkpoint again as a whole");
        }
    }

    private void place(Buffer buffer, Map<String, NavigableMap<Integer, String>> states)
            throws IncompleteCheckpointException {
        int tp = buffer.group % grid.tp();
        int stage = buffer.group / grid.tp();
        if (stage >= grid.pp() || buffer.chunk >= grid.virtual()) {
            throw new IncompleteCheckpointException(
                    "dp_group_idx_%d, gbuf_idx_%d".formatted(buffer.group, buffer.chunk),
                    "a rank that a job of %s does not have".formatted(grid),
                    "%d ranks with %d chunks each".formatted(grid.tp() * grid.pp(), grid.virtual()),
                    "the folder mixes two saves; copy the files of one save again");
        }
        List<Local> members = new ArrayList<>();
        long elements = 0;
        for (int c = 0; c < grid.virtual(); c++) {
            List<Local> trained = members(c, stage, tp);
            elements += trained.stream().mapToLong(Local::count).sum();
            if (c == buffer.chunk) {
                members.addAll(trained);
            }
        }
        members.removeIf(m -> !m.of.dtype().torchName().equals(buffer.dtype));
        List<GradientBuffer.Member> sizes =
                members.stream()
                        .map(m -> new GradientBuffer.Member(m.count, isShared(m.of.name())))
                        .toList();
        GradientBuffer layout =
                GradientBuffer.of(
                        sizes,
                        GradientBuffer.bucketSize(
                                files.arguments(), grid, buffer.chunk, stage, elements),
                        GradientBuffer.ALIGNMENT);
        for (Map.Entry<String, NavigableMap<Integer, String>> each : states.entrySet()) {
            String state = each.getKey().equals("param") ? "fp32" : each.getKey();
            place(state, members, layout, cuts(each.getValue(), layout.count()));
        }
    }

    /// The chunks of a state's buckets, one bucket behind the other.
    private List<Cut> cuts(NavigableMap<Integer, String> buckets, long expected) {
        List<Cut> cuts = new ArrayList<>();
        long before = 0;
        int number = 0;
        for (Map.Entry<Integer, String> bucket : buckets.entrySet()) {
            OfTensor tensor =
                    Optional.ofNullable(files.tensors().get(bucket.getValue())).orElseThrow();
            if (bucket.getKey() != number++ || tensor.shape().rank() != 1) {
                throw unproven(bucket.getValue(), "shape " + tensor.shape());
            }
            for (Stored stored : tensor.chunks()) {
                Chunk chunk = stored.chunk();
                TensorEntry entry = files.items().tensor(stored.place());
                long from = before + chunk.start().getFirst();
                if (chunk.extent().count() > 0) {
                    cuts.add(new Cut(from, from + chunk.extent().count(), entry));
                }
            }
            before += tensor.shape().count();
        }
        if (before != expected) {
            throw unproven(
                    buckets.firstEntry().getValue(),
                    "%d elements in %d buckets".formatted(before, buckets.size()));
        }
        cuts.sort(Comparator.comparingLong(Cut::from));
        return cuts;
    }

    private static RefusedException unproven(String key, String found) {
        return new RefusedException(
                "'%s'".formatted(key),
                found,
                "buckets that are cut where the parameters of the rank begin and end, as `args` and"
                        + " the order of its modules say",
                REMEDY);
    }

    private void place(String state, List<Local> members, GradientBuffer layout, List<Cut> cuts) {
        for (int i = 0; i < members.size(); i++) {
            Local member = members.get(i);
            long start = layout.starts().get(i);
            long end = start + member.count;
            List<Placed> placed = new ArrayList<>();
            for (Cut cut : cuts) {
                if (cut.to <= start || cut.from >= end) {
                    continue;
                }
                if (cut.from < start || cut.to > end) {
                    throw unproven(
                            member.of.name(),
                            "a chunk %d to %d of a buffer, the parameter %d to %d"
                                    .formatted(cut.from, cut.to, start, end));
                }
                TensorEntry flat =
                        TensorEntry.dense(
                                cut.tensor.source(),
                                cut.tensor.offset(),
                                cut.tensor.dtype(),
                                Shape.of(cut.to - cut.from));
                for (Piece piece : member.pieces) {
                    long from = Math.max(cut.from - start, piece.localOffset());
                    long to = Math.min(cut.to - start, piece.localOffset() + piece.count());
                    if (from < to) {
                        for (Piece part : piece.cut(from, to)) {
                            placed.add(new Placed(flat, part.moved(from - (cut.from - start))));
                        }
                    }
                }
            }
            if (member.counted) {
                member.of.dtypes().put(state, DType.FLOAT32);
                member.of.states().computeIfAbsent(state, _ -> new ArrayList<>()).addAll(placed);
            }
        }
    }

    private boolean isShared(String name) {
        return grid.pp() > 1 && files.arguments().tied() && Names.isEmbedding(name);
    }

    /// The trained parameters of a model chunk in the order of its modules.
    private List<Local> members(int chunk, int stage, int tp) {
        long layers =
                parameters.keySet().stream()
                        .flatMap(n -> Names.layer(n).stream())
                        .mapToLong(l -> l + 1)
                        .max()
                        .orElse(0);
        int chunks = grid.pp() * grid.virtual();
        if (layers % chunks != 0) {
            throw unproven(
                    "dp_group_idx_" + (tp + grid.tp() * stage),
                    "%d layers on %d chunks".formatted(layers, chunks));
        }
        int number = chunk * grid.pp() + stage;
        long first = layers / chunks * number;
        long last = first + layers / chunks;
        boolean ends = number == chunks - 1;
        List<String> names = new ArrayList<>();
        for (String name : parameters.keySet()) {
            Optional<Long> layer = Names.layer(name);
            boolean held =
                    layer.isPresent()
                            ? layer.get() >= first && layer.get() < last
                            : Names.isInFront(name) ? number == 0 : ends;
            if (held && !Names.isBuffer(name)) {
                names.add(name);
            }
        }
        List<Local> members = new ArrayList<>();
        for (String name : ModuleOrder.sorted(names)) {
            members.add(local(Optional.ofNullable(parameters.get(name)).orElseThrow(), tp, true));
        }
        Optional<Gathered> embedding = Names.embedding(parameters.keySet()).map(parameters::get);
        if (ends && number > 0 && files.arguments().tied() && embedding.isPresent()) {
            members.add(local(embedding.get(), tp, false));
        }
        return members;
    }

    /// What a tensor-parallel rank has of a parameter: all, one of as many chunks as there are
    /// ranks, or one of the gate's and one of the values'.
    private Local local(Gathered of, int tp, boolean counted) {
        List<Piece> boxes =
                Optional.ofNullable(of.states().get("weight")).orElseThrow().stream()
                        .map(Placed::piece)
                        .sorted(Comparator.comparingLong(Piece::firstIndex))
                        .toList();
        int parts = boxes.size() / grid.tp();
        boolean gated = of.name().contains("linear_fc1.") && files.arguments().gated();
        List<Piece> own = new ArrayList<>();
        if (boxes.size() == 1) {
            own.add(boxes.getFirst());
        } else if (boxes.size() == grid.tp() || (gated && boxes.size() == 2 * grid.tp())) {
            for (int p = 0; p < parts; p++) {
                own.add(boxes.get(p * grid.tp() + tp));
            }
        } else {
            throw unproven(of.name(), "%d chunks".formatted(boxes.size()));
        }
        List<Piece> pieces = new ArrayList<>();
        long count = 0;
        for (Piece piece : own) {
            pieces.add(piece.moved(count));
            count += piece.count();
        }
        return new Local(of, pieces, count, counted);
    }
}
