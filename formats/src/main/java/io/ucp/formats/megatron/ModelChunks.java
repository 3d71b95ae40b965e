package io.ucp.formats.megatron;

import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.GroupedExperts;
import io.ucp.formats.mcore.ModelTemplate;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.megatron.RankFiles.Rank;
import io.ucp.formats.torch.ElementSearch;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/// The model's tensors of every rank, chunk by chunk, in the order of the files, which is that of
/// `named_parameters`, under names that count layers and experts over the whole model.
///
/// Layers lie in consecutive runs, the first chunk of every stage first. Source: Megatron-LM
/// `core/transformer/transformer_layer.py` (`get_transformer_layer_offset`).
final class ModelChunks {
    private static final int DEEPEST = 64;
    private static final String STATE_OF_A_LAYER = "_extra_state";

    /// A tensor of the model.
    ///
    /// @param local as the file names it
    /// @param global counting over the whole model
    /// @param tensor as the file has it
    /// @param apart the shape of the elements, where that is another ([GroupedExperts])
    record Held(String local, String global, TensorEntry tensor, Optional<Shape> apart) {
        /// A tensor of this parameter's shape, its weight or a state, as the parameter is.
        TensorEntry seen(TensorEntry of) {
            return apart.filter(_ -> of.shape().rank() > 0)
                    .map(shape -> GroupedExperts.seen(of, shape))
                    .orElse(of);
        }

        boolean isExpert() {
            return Names.isExpert(global);
        }

        boolean isBuffer() {
            return Names.isBuffer(global);
        }
    }

    private final Map<Rank, List<List<Held>>> byRank;

    private ModelChunks(Map<Rank, List<List<Held>>> byRank) {
        this.byRank = byRank;
    }

    /// Of a rank, by the number of the chunk.
    List<List<Held>> of(Rank rank) {
        return byRank.getOrDefault(rank, List.of());
    }

    static ModelChunks read(RankFiles files)
            throws MalformedFileException, IncompleteCheckpointException {
        Map<Rank, List<Map<String, TensorEntry>>> read = new LinkedHashMap<>();
        for (Rank rank : files.ranks()) {
            read.put(rank, chunks(rank, files.grid()));
        }
        long[][] first = firstLayers(files, read);
        long experts = expertsOfARank(files, read);
        Map<Rank, List<List<Held>>> byRank = new LinkedHashMap<>();
        for (Map.Entry<Rank, List<Map<String, TensorEntry>>> e : read.entrySet()) {
            List<List<Held>> chunks = new ArrayList<>();
            for (int c = 0; c < e.getValue().size(); c++) {
                long layers = first[c][e.getKey().pp()];
                long before = experts * e.getKey().ep();
                List<Held> held = new ArrayList<>();
                for (Map.Entry<String, TensorEntry> each : e.getValue().get(c).entrySet()) {
                    String name = each.getKey();
                    held.add(
                            new Held(
                                    name,
                                    Names.moved(name, layers, before),
                                    each.getValue(),
                                    apart(e.getKey(), name, each.getValue(), experts)));
                }
                chunks.add(held);
            }
            byRank.put(e.getKey(), chunks);
        }
        return new ModelChunks(byRank);
    }

    /// @throws MalformedFileException where all experts of a layer are no matrix of so many
    private static Optional<Shape> apart(Rank rank, String name, TensorEntry tensor, long experts)
            throws MalformedFileException {
        if (!GroupedExperts.is(name)) {
            return Optional.empty();
        }
        Optional<Shape> apart = GroupedExperts.apart(name, tensor.shape(), experts);
        if (apart.isEmpty() || !tensor.isDense()) {
            throw rank.model()
                    .malformed(
                            "`%s` of shape %s%s"
                                    .formatted(
                                            name,
                                            tensor.shape(),
                                            tensor.isDense() ? "" : ", not row by row"),
                            "a matrix of the rank's %d experts, as `args.num_experts` says"
                                    .formatted(experts));
        }
        return apart;
    }

    /// `model`, or `model0`, `model1`, .. of a stage with several chunks.
    private static List<Map<String, TensorEntry>> chunks(Rank rank, Grid grid)
            throws MalformedFileException {
        List<Map<String, TensorEntry>> chunks = new ArrayList<>();
        RankFile file = rank.model();
        for (int c = 0; c < grid.virtual(); c++) {
            String key = ModelTemplate.key(c, grid.virtual());
            Optional<PickleValue> model = file.root().find(key);
            if (model.isEmpty()) {
                throw file.malformed(
                        "no `%s`".formatted(key),
                        "the model%s"
                                .formatted(
                                        grid.virtual() > 1
                                                ? ", in %d chunks as `args` say"
                                                        .formatted(grid.virtual())
                                                : ""));
            }
            Map<String, TensorEntry> tensors = new LinkedHashMap<>();
            flatten(
                    file,
                    "",
                    file.dict(model.get(), "a dict under `" + key + "`"),
                    tensors,
                    0,
                    new ElementSearch());
            chunks.add(tensors);
        }
        return chunks;
    }

    private static void flatten(
            RankFile file,
            String prefix,
            PyDict dict,
            Map<String, TensorEntry> into,
            int depth,
            ElementSearch search)
            throws MalformedFileException {
        if (depth > DEEPEST) {
            throw file.malformed(
                    "state dicts nested more than %d deep at `%s`".formatted(DEEPEST, prefix),
                    "the state dict of a model");
        }
        for (PyDict.Entry entry : dict.entries()) {
            Optional<String> key = entry.key().asText();
            if (key.isPresent() && key.get().endsWith(STATE_OF_A_LAYER)) {
                continue;
            }
            String name = prefix + key.orElseGet(() -> entry.key().toString());
            Optional<TensorEntry> tensor = file.tensor(entry.value());
            Optional<PyDict> inner = entry.value().asDict();
            if (tensor.isPresent() && key.isPresent()) {
                if (into.put(name, tensor.get()) != null) {
                    throw file.malformed(
                            "two tensors `%s`, one in a dict of its own".formatted(name),
                            "each tensor of the model once");
                }
            } else if (inner.isPresent() && key.isPresent()) {
                search.enter(file.path(), name, entry.value());
                flatten(file, name + ".", inner.get(), into, depth + 1, search);
            } else {
                search.requireNone(file.path(), name, entry.value());
            }
        }
    }

    /// Layers before each chunk of each stage.
    private static long[][] firstLayers(
            RankFiles files, Map<Rank, List<Map<String, TensorEntry>>> read)
            throws IncompleteCheckpointException {
        Grid grid = files.grid();
        long[][] counts = new long[grid.virtual()][grid.pp()];
        Arrays.stream(counts).forEach(c -> Arrays.fill(c, -1));
        for (Map.Entry<Rank, List<Map<String, TensorEntry>>> e : read.entrySet()) {
            Rank rank = e.getKey();
            for (int c = 0; c < grid.virtual(); c++) {
                long held = count(rank, e.getValue().get(c).keySet());
                long known = counts[c][rank.pp()];
                if (known >= 0 && known != held) {
                    throw new IncompleteCheckpointException(
                            rank.model().path().toString(),
                            "%d layers in `%s`"
                                    .formatted(held, ModelTemplate.key(c, grid.virtual())),
                            "%d, as on the other ranks of pipeline stage %d"
                                    .formatted(known, rank.pp()),
                            "the folder mixes two saves; copy the files of one save again");
                }
                counts[c][rank.pp()] = held;
            }
        }
        long total = 0;
        for (long[] chunk : counts) {
            for (int p = 0; p < chunk.length; p++) {
                long held = chunk[p];
                chunk[p] = total;
                total += held;
            }
        }
        long said = files.arguments().number("num_layers").orElse(total);
        if (said != total && total > 0) {
            throw new IncompleteCheckpointException(
                    files.folder().toString(),
                    "%d layers on all stages".formatted(total),
                    "%d, as `args.num_layers` says".formatted(said),
                    "the folder mixes two saves; copy the files of one save again");
        }
        return counts;
    }

    private static long count(Rank rank, Set<String> names) throws IncompleteCheckpointException {
        TreeSet<Long> layers = new TreeSet<>();
        names.forEach(n -> Names.layer(n).ifPresent(layers::add));
        if (!layers.isEmpty() && (layers.first() != 0 || layers.last() != layers.size() - 1)) {
            throw new IncompleteCheckpointException(
                    rank.model().path().toString(),
                    "layers " + layers,
                    "0 to %d: a file counts the layers of its own chunk"
                            .formatted(layers.size() - 1),
                    "");
        }
        return layers.size();
    }

    /// Experts of an expert rank, the same on all.
    private static long expertsOfARank(
            RankFiles files, Map<Rank, List<Map<String, TensorEntry>>> read)
            throws IncompleteCheckpointException {
        long total = files.arguments().number("num_experts").orElse(0);
        long each = total / files.grid().ep();
        for (Map.Entry<Rank, List<Map<String, TensorEntry>>> e : read.entrySet()) {
            TreeSet<Long> held = new TreeSet<>();
            e.getValue()
                    .forEach(c -> c.keySet().forEach(n -> Names.expert(n).ifPresent(held::add)));
            if (!held.isEmpty()
                    && (held.first() != 0
                            || held.last() != held.size() - 1
                            || held.size() != each
                            || total % files.grid().ep() != 0)) {
                throw new IncompleteCheckpointException(
                        e.getKey().model().path().toString(),
                        "experts " + held,
                        "%d from 0 on: %d over %d expert ranks"
                                .formatted(each, total, files.grid().ep()),
                        "");
            }
        }
        return each;
    }
}
