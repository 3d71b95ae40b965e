package io.ucp.formats.megatrondist;

import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.Elementwise;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.TargetJob;
import io.ucp.formats.TargetTree;
import io.ucp.formats.TargetTree.SmallFile;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.distcp.ItemFile;
import io.ucp.formats.distcp.StateDictEntry;
import io.ucp.formats.distcp.StateDictEntry.OfObject;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.mcore.FilesBeside;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.IterationFolder;
import io.ucp.formats.mcore.MadeArguments;
import io.ucp.formats.mcore.ModelTemplate;
import io.ucp.formats.mcore.OptimizerSettings;
import io.ucp.formats.mcore.SourceModel;
import io.ucp.formats.mcore.TargetModel;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.formats.torch.pickle.PyList;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/// All files of a checkpoint in the fully reshardable form. Ranks that hold a chunk write it in
/// turn, as `--ckpt-fully-parallel-save` has them do; who wrote what no reader asks.
final class DistTree {
    private final WriteRequest request;
    private final TargetJob job;
    private final SourceModel source;
    private final Grid grid;
    private final Optional<OptimizerSettings> optimizer;
    private final DistObjects objects;
    private final List<String> losses = new ArrayList<>();
    private final List<String> notes = new ArrayList<>();
    private final Map<Integer, Rank> ranks = new LinkedHashMap<>();
    private final Map<List<Integer>, Integer> turns = new LinkedHashMap<>();
    private final Map<String, StateDictEntry> entries = new LinkedHashMap<>();
    private final String folder;

    /// What a rank is to write.
    private record Rank(List<DistObjects.Item> objects, List<Held> tensors) {}

    private record Held(DistKeys.Key key, DistKeys.Part part) {}

    private DistTree(WriteRequest asked, TargetJob job) {
        this.job = job;
        Optional<SourceModel> own = SourceModel.of(asked);
        boolean foreign = own.isEmpty();
        this.request = foreign ? MadeArguments.dated(asked) : asked;
        this.source = own.orElseGet(() -> MadeArguments.of(request, true));
        this.grid = Grid.of(job);
        ModelTemplate template = ModelTemplate.of(request, source, foreign);
        TargetModel model = new TargetModel(request, job, grid, template);
        this.optimizer = OptimizerSettings.of(request, source, foreign, true, losses);
        this.folder = IterationFolder.of(request);
        if (foreign) {
            notes.addAll(MadeArguments.notes(asked, optimizer));
        }
        this.objects = new DistObjects(request, source, grid, template, model, optimizer, foreign);
    }

    /// @throws RefusedException where Megatron-LM has no form for the state
    static TargetTree of(WriteRequest request) {
        for (String option : request.options().keySet()) {
            if (!option.equals(MegatronDistFormat.RNG)) {
                throw new RefusedException(
                        MegatronDistFormat.NAME, "the option " + option, "rng", "leave it out");
            }
        }
        TargetJob job =
                request.job()
                        .orElseThrow(
                                () ->
                                        new RefusedException(
                                                request.tag(),
                                                "no job is named",
                                                "the degrees of a job that could write it",
                                                "give --tp, --pp, --dp"));
        return new DistTree(request, job).tree();
    }

    private TargetTree tree() {
        for (DistObjects.Item item : objects.items(losses, notes)) {
            rank(item.rank()).objects.add(item);
        }
        List<DistKeys.Key> keys =
                new DistKeys(
                                job,
                                grid,
                                source.arguments().local(),
                                source.arguments().gated(),
                                optimizer)
                        .of(request.parameters());
        for (DistKeys.Key key : keys) {
            for (DistKeys.Part part : key.parts()) {
                rank(writer(part)).tensors.add(new Held(key, part));
            }
        }
        Map<String, List<Stored>> chunks = new LinkedHashMap<>();
        List<TargetFile> files = new ArrayList<>();
        ranks.forEach((number, rank) -> files.add(file(number, rank, chunks)));
        for (DistKeys.Key key : keys) {
            entries.put(
                    key.key(),
                    new OfTensor(
                            key.dtype(),
                            key.shape(),
                            false,
                            chunks.getOrDefault(key.key(), List.of())));
        }
        FilesBeside.add(request, folder, files, losses);
        byte[] metadata =
                PickleWriter.write(
                        new DistcpMetadata(entries, Optional.empty(), Optional.empty()).tree());
        if (optimizer.filter(o -> o.distributed() || o.masters()).isPresent()) {
            OptimizerSettings.widened(request.parameters()).ifPresent(notes::add);
        }
        return new TargetTree(
                files,
                _ -> List.of(),
                List.of(
                        new SmallFile(folder + "/" + DistFiles.CONFIG, config()),
                        new SmallFile(folder + "/" + DistcpMetadata.FILE, metadata),
                        IterationFolder.tracker(request)),
                losses,
                notes);
    }

    private static byte[] config() {
        return String.format(
                        Locale.ROOT,
                        "{\"sharded_backend\": \"%s\", \"sharded_backend_version\": %d}",
                        DistFiles.BACKEND,
                        DistFiles.VERSION)
                .getBytes(StandardCharsets.UTF_8);
    }

    private Rank rank(int number) {
        return ranks.computeIfAbsent(number, _ -> new Rank(new ArrayList<>(), new ArrayList<>()));
    }

    /// The ranks that hold a chunk take turns.
    private int writer(DistKeys.Part part) {
        int each = part.ep() < 0 ? grid.tp() : grid.etp() * grid.ep();
        int first = part.ep() < 0 ? part.tp() : part.tp() + grid.etp() * part.ep();
        int turn = turns.merge(List.of(part.stage(), each, first), 1, Integer::sum) - 1;
        int count = Math.max(1, grid.stage() / each);
        return part.stage() * grid.stage() + first + turn % count * each;
    }

    /// Objects first, then tensors, as torch's writer does.
    private TargetFile file(int number, Rank rank, Map<String, List<Stored>> chunks) {
        ItemFile file = new ItemFile(String.format(Locale.ROOT, "__%d_0.distcp", number));
        for (DistObjects.Item item : rank.objects) {
            PickleValue tree = PyList.of(item.tree());
            Map<String, Storage> storages = item.storages();
            entries.put(
                    item.key(),
                    new OfObject(file.add(new TorchBuilder(storages).file(ItemFile.ITEM, tree))));
        }
        for (Held held : rank.tensors) {
            DistKeys.Part part = held.part;
            TorchBuilder torch = new TorchBuilder(Map.of());
            TorchTensor tensor =
                    torch.tensor(held.key.dtype(), part.chunk().extent(), elements(held));
            TargetFile item = torch.file(ItemFile.ITEM, TensorPickles.write(tensor));
            chunks.computeIfAbsent(held.key.key(), _ -> new ArrayList<>())
                    .add(new Stored(part.chunk(), file.add(item)));
        }
        TargetFile made = file.file();
        return new TargetFile(
                folder + "/" + made.path(),
                made.size(),
                made.parts(),
                made.checksums(),
                made.assembler());
    }

    private static List<Part> elements(Held held) {
        return held.part.held().stream()
                .map(
                        piece ->
                                new Elementwise(
                                        held.part.of().name(),
                                        held.part.state(),
                                        held.key.dtype(),
                                        piece.count(),
                                        List.of(piece)))
                .<Part>map(of -> new Part.Elements(0, of))
                .toList();
    }
}
