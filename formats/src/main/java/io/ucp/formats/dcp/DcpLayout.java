package io.ucp.formats.dcp;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.TargetTree;
import io.ucp.formats.TargetTree.SmallFile;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.ItemFile;
import io.ucp.formats.distcp.Place;
import io.ucp.formats.distcp.StateDictEntry;
import io.ucp.formats.distcp.StateDictEntry.OfObject;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.hub.SideFiles;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.training.StateDictKeys;
import io.ucp.formats.training.TrainingState;
import io.ucp.formats.training.Untold;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// The files of a checkpoint for a mesh: one a rank that has something to write, and `.metadata`.
final class DcpLayout {
    static final String DP = "dp";
    static final String TP = "tp";

    private final List<Entry> entries;
    private final List<ItemFile> files = new ArrayList<>();
    private final Map<String, List<Stored>> chunks = new LinkedHashMap<>();
    private final Map<String, StateDictEntry> listed = new LinkedHashMap<>();
    private final Map<Drawn, Place> places = new HashMap<>();

    private DcpLayout(List<Entry> entries) {
        this.entries = entries;
    }

    static TargetTree of(WriteRequest request) {
        Optional<CarriedStateDict> source = CarriedStateDict.of(request);
        RankGrid before = before(request);
        RankGrid grid = grid(request, before);
        TrainingState training = source.isEmpty() ? TrainingState.of(request) : TrainingState.NONE;
        List<String> losses = new ArrayList<>();
        List<Entry> entries =
                StateDictEntries.of(request, source, training, grid, grid.equals(before));
        training.lost("a state dict", List.of()).ifPresent(losses::add);
        DcpLayout layout = new DcpLayout(entries);
        List<List<SavePlan.Item>> plans = SavePlan.of(entries, grid);
        for (int rank = 0; rank < plans.size(); rank++) {
            layout.file(rank, plans.get(rank));
        }
        List<TargetFile> files =
                new ArrayList<>(layout.files.stream().map(ItemFile::file).toList());
        side(request, files, losses);
        return new TargetTree(
                files,
                _ -> List.of(),
                List.of(new SmallFile(DistcpMetadata.FILE, layout.metadata())),
                losses,
                notes(request));
    }

    private static List<String> notes(WriteRequest request) {
        List<String> padded =
                request.parameters().stream()
                        .filter(p -> !StateDictEntries.unpadded(p).equals(p.shape()))
                        .map(ParameterFacts::name)
                        .toList();
        return padded.isEmpty()
                ? List.of()
                : List.of("rows that pad a vocabulary are left out: " + String.join(", ", padded));
    }

    /// Of the job that wrote the state, where that was one of these.
    private static RankGrid before(WriteRequest request) {
        return request.origin().format().equals(DcpFormat.NAME)
                ? new RankGrid(degree(request, DP), degree(request, TP))
                : new RankGrid(1, 1);
    }

    private static int degree(WriteRequest request, String axis) {
        return request.origin().mesh().stream()
                .filter(a -> a.axis().equals(axis))
                .mapToInt(AxisDegree::degree)
                .findFirst()
                .orElse(1);
    }

    private static RankGrid grid(WriteRequest request, RankGrid before) {
        for (String option : request.options().keySet()) {
            if (!option.equals(DP) && !option.equals(TP)) {
                throw new RefusedException(
                        "format " + DcpFormat.NAME, "option \"" + option + "\"", "dp or tp", "");
            }
        }
        int tp = number(request, TP).orElse(number(request, DP).isPresent() ? 1 : before.tp());
        int dp = number(request, DP).orElse(number(request, TP).isPresent() ? 1 : before.dp());
        boolean cuts =
                request.parameters().stream().anyMatch(p -> p.split().kind() == SplitKind.SHARDED);
        if (tp > 1 && !cuts) {
            throw new RefusedException(
                    "--tp " + tp,
                    "a source that does not say which dim of a parameter tensor parallelism cuts",
                    "--dp alone",
                    "torch loads the checkpoint on any mesh, whatever the mesh it is laid out for");
        }
        return new RankGrid(dp, tp);
    }

    private static Optional<Integer> number(WriteRequest request, String option) {
        return Optional.ofNullable(request.options().get(option)).map(Integer::valueOf);
    }

    /// Objects first, then tensors, as torch's writer does.
    private void file(int rank, List<SavePlan.Item> items) {
        if (items.isEmpty()) {
            return;
        }
        for (SavePlan.Item item : items) {
            listed.putIfAbsent(entries.get(item.entry()).key(), new OfObject(NOWHERE));
        }
        ItemFile file = new ItemFile(String.format(Locale.ROOT, "__%d_0.distcp", rank));
        for (SavePlan.Item item : items) {
            Entry entry = entries.get(item.entry());
            if (entry.value() instanceof Entry.Pickled(PickleValue tree, var storages)) {
                Place place = file.add(new TorchBuilder(storages).file(ItemFile.ITEM, tree));
                listed.put(entry.key(), new OfObject(place));
            }
        }
        for (SavePlan.Item item : items) {
            Entry entry = entries.get(item.entry());
            switch (entry.value()) {
                case Entry.Pickled _ -> {}
                case Entry.Own own ->
                        add(file, entry, item.chunk(), own.dtype(), own.shape(), own.parts());
                case Entry.Bound bound -> {
                    Drawn drawn = new Drawn(bound.parameter(), bound.state(), item.chunk());
                    Place there = places.get(drawn);
                    if (there != null) {
                        add(entry, item.chunk(), there);
                        continue;
                    }
                    Elementwise of =
                            new Elementwise(
                                    bound.parameter(),
                                    bound.state(),
                                    bound.dtype(),
                                    item.chunk().extent().count(),
                                    List.of(item.chunk().in(bound.whole())));
                    places.put(
                            drawn,
                            add(
                                    file,
                                    entry,
                                    item.chunk(),
                                    bound.dtype(),
                                    item.chunk().extent(),
                                    of.count() == 0
                                            ? List.of()
                                            : List.of(new Part.Elements(0, of))));
                }
            }
        }
        if (!file.isEmpty()) {
            files.add(file);
        }
    }

    /// Its own, and of the source's job alone.
    private static final Set<String> OTHERS =
            Set.of(
                    StateDictKeys.ROLE,
                    StateDictKeys.SHARDED,
                    StateDictKeys.OBJECT,
                    SideFiles.BESIDE);

    private static final Place NOWHERE = new Place("", 0, 0);

    /// Of a parameter that has several keys there is one item.
    private record Drawn(String parameter, String state, Chunk chunk) {}

    private void add(Entry entry, Chunk chunk, Place place) {
        chunks.computeIfAbsent(entry.key(), _ -> new ArrayList<>()).add(new Stored(chunk, place));
    }

    private Place add(
            ItemFile file, Entry entry, Chunk chunk, DType dtype, Shape extent, List<Part> parts) {
        TorchBuilder torch = new TorchBuilder(Map.of());
        TorchTensor tensor = torch.tensor(dtype, extent, parts);
        TargetFile item = torch.file(ItemFile.ITEM, TensorPickles.write(tensor));
        Place place = file.add(item);
        add(entry, chunk, place);
        return place;
    }

    private byte[] metadata() {
        Map<String, Entry> byKey = new LinkedHashMap<>();
        entries.forEach(entry -> byKey.put(entry.key(), entry));
        Map<String, StateDictEntry> all = new LinkedHashMap<>();
        listed.forEach(
                (key, object) -> {
                    Entry entry = Optional.ofNullable(byKey.get(key)).orElseThrow();
                    List<Stored> stored = chunks.getOrDefault(key, List.of());
                    all.put(
                            key,
                            switch (entry.value()) {
                                case Entry.Pickled _ -> object;
                                case Entry.Own own ->
                                        new OfTensor(
                                                own.dtype(),
                                                own.shape(),
                                                own.requiresGrad(),
                                                stored);
                                case Entry.Bound bound ->
                                        new OfTensor(
                                                bound.dtype(),
                                                bound.shape(),
                                                bound.requiresGrad(),
                                                stored);
                            });
                });
        List<PyDict.Entry> planner =
                entries.stream()
                        .map(entry -> new PyDict.Entry(PyText.of(entry.key()), entry.path()))
                        .toList();
        DistcpMetadata metadata =
                new DistcpMetadata(all, Optional.of(PyDict.of(planner)), Optional.empty());
        return PickleWriter.write(metadata.tree());
    }

    /// Files beside a checkpoint, such as a model's `config.json`, lie beside this one: torch reads
    /// those that `.metadata` names.
    private static void side(WriteRequest request, List<TargetFile> files, List<String> losses) {
        Set<String> taken = new HashSet<>(Set.of(DistcpMetadata.FILE));
        files.forEach(f -> taken.add(f.path()));
        List<CarriedFile> left = new ArrayList<>();
        for (CarriedFile file : request.carried()) {
            Optional<String> name = SideFiles.nameOf(file).filter(taken::add);
            if (name.isPresent()) {
                files.add(SideFiles.written(file, name.get()));
            } else {
                left.add(file);
            }
        }
        losses.addAll(Untold.losses(left, OTHERS, "a state dict"));
    }
}
