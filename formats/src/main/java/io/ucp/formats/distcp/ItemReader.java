package io.ucp.formats.distcp;

import io.ucp.formats.Finding;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.distcp.StateDictEntry.OfObject;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchFolder;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.Checksummed;
import io.ucp.io.MalformedFileException;
import io.ucp.io.Parallel;
import io.ucp.io.PlainFile;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;

/// Opens the items of a checkpoint: each is where `.metadata` says, and holds what it says. Reads
/// no tensor data.
public final class ItemReader {
    private static final String COPY = "copy the checkpoint again as a whole";

    private final Path folder;
    private final Map<String, PlainFile> files = new ConcurrentHashMap<>();
    private final Map<Place, TensorEntry> tensors = new ConcurrentHashMap<>();
    private final Map<Place, TorchFile> objects = new ConcurrentHashMap<>();

    private ItemReader(Path folder) {
        this.folder = folder;
    }

    /// An item of a key.
    private record Item(String key, Place place, Optional<OfTensor> tensor, Optional<Chunk> chunk) {
        /// Whether it is a tensor under another name: the same chunk of an equal one, in the same
        /// bytes.
        boolean isOther(Item before) {
            return place.equals(before.place)
                    && chunk.equals(before.chunk)
                    && tensor.isPresent()
                    && before.tensor.isPresent()
                    && tensor.get().dtype() == before.tensor.get().dtype()
                    && tensor.get().shape().equals(before.tensor.get().shape());
        }

        String name() {
            return chunk.isEmpty()
                    ? "'%s'".formatted(key)
                    : "'%s' at %s".formatted(key, chunk.get().start());
        }
    }

    /// @throws MalformedFileException where a file is missing or too short, or an item is not what
    ///   `.metadata` says
    public static ItemReader open(Path folder, DistcpMetadata metadata) throws IOException {
        ItemReader reader = new ItemReader(folder);
        List<List<Item>> files = List.copyOf(byFile(metadata).values());
        for (List<Item> items : files) {
            reader.check(items);
        }
        Parallel.map(files, reader::openAll);
        return reader;
    }

    private static Map<String, List<Item>> byFile(DistcpMetadata metadata) {
        Map<String, List<Item>> files = new TreeMap<>();
        metadata.entries()
                .forEach(
                        (key, entry) -> {
                            switch (entry) {
                                case OfObject(Place place) ->
                                        add(
                                                files,
                                                new Item(
                                                        key,
                                                        place,
                                                        Optional.empty(),
                                                        Optional.empty()));
                                case OfTensor tensor -> {
                                    for (Stored stored : tensor.chunks()) {
                                        add(
                                                files,
                                                new Item(
                                                        key,
                                                        stored.place(),
                                                        Optional.of(tensor),
                                                        Optional.of(stored.chunk())));
                                    }
                                }
                            }
                        });
        files.values()
                .forEach(items -> items.sort(Comparator.comparingLong(i -> i.place().offset())));
        return files;
    }

    private static void add(Map<String, List<Item>> files, Item item) {
        files.computeIfAbsent(item.place().file(), _ -> new ArrayList<>()).add(item);
    }

    /// Of one file: it is there, its items lie in it, and no two share a byte.
    private void check(List<Item> items) throws IOException {
        Path path = folder.resolve(items.getFirst().place().file());
        if (!Files.isRegularFile(path)) {
            throw new MalformedFileException(
                    folder.resolve(DistcpMetadata.FILE),
                    -1,
                    "%s is in %s, which is not there"
                            .formatted(items.getFirst().name(), path.getFileName()),
                    "every file that it names",
                    COPY);
        }
        long size = Files.size(path);
        long end = 0;
        Item before = null;
        for (Item item : items) {
            Place place = item.place();
            if (place.end() > size) {
                throw new MalformedFileException(
                        path,
                        place.offset(),
                        "%s is said to be %d bytes from here, of a file of %d"
                                .formatted(item.name(), place.length(), size),
                        "it inside the file",
                        "the file is cut short; " + COPY);
            }
            if (before != null && item.isOther(before)) {
                continue;
            }
            before = item;
            if (place.offset() < end) {
                throw new MalformedFileException(
                        path,
                        place.offset(),
                        "%s begins inside the item before it".formatted(item.name()),
                        "items that share no byte",
                        COPY);
            }
            end = place.end();
        }
    }

    private PlainFile openAll(List<Item> items) throws IOException {
        String name = items.getFirst().place().file();
        PlainFile file = PlainFile.of(folder.resolve(name));
        files.put(name, file);
        try (ByteReader reader = file.open()) {
            WindowedSource windowed = new WindowedSource(file, reader);
            for (Item item : items) {
                open(file, windowed, item);
            }
        }
        return file;
    }

    private void open(PlainFile file, WindowedSource windowed, Item item) throws IOException {
        Place place = item.place();
        TorchFile torch = TorchFile.open(windowed, place.offset(), place.length());
        if (item.tensor().isEmpty()) {
            objects.put(place, torch);
            return;
        }
        Optional<TorchTensor> tensor = torch.tensor(torch.tree());
        if (tensor.isEmpty()) {
            throw wrong(file, item, "%s".formatted(torch.tree()), "a tensor");
        }
        Chunk chunk = item.chunk().orElseThrow();
        if (!tensor.get().shape().equals(chunk.extent())) {
            throw wrong(file, item, "a tensor " + tensor.get(), "shape " + chunk.extent());
        }
        if (tensor.get().dtype() != item.tensor().get().dtype()) {
            throw wrong(
                    file,
                    item,
                    "a tensor " + tensor.get(),
                    item.tensor().get().dtype().torchName());
        }
        tensors.put(
                place,
                tensor.get().isContiguous()
                        ? TensorEntry.dense(
                                file,
                                torch.position(tensor.get()),
                                tensor.get().dtype(),
                                tensor.get().shape())
                        : new TensorEntry(
                                file,
                                torch.position(tensor.get()),
                                tensor.get().dtype(),
                                tensor.get().shape(),
                                tensor.get().strides()));
    }

    private static MalformedFileException wrong(
            PlainFile file, Item item, String found, String expected) {
        return new MalformedFileException(
                file.path(),
                item.place().offset(),
                "the item of %s holds %s".formatted(item.name(), found),
                "%s, as .metadata says".formatted(expected),
                "the files are of different checkpoints; " + COPY);
    }

    /// A chunk of a tensor, as it lies there.
    public TensorEntry tensor(Place place) {
        return Optional.ofNullable(tensors.get(place))
                .orElseThrow(() -> new IllegalArgumentException("no tensor at " + place));
    }

    /// Any other object.
    public TorchFile object(Place place) {
        return Optional.ofNullable(objects.get(place))
                .orElseThrow(() -> new IllegalArgumentException("no object at " + place));
    }

    /// Where the bytes behind the objects are read from: the file itself, whatever read its
    /// directory.
    public PlainFile file(Place place) {
        return Optional.ofNullable(files.get(place.file()))
                .orElseThrow(() -> new IllegalArgumentException("no file of " + place));
    }

    /// What the items of some files keep the CRC-32 of.
    ///
    /// @param read the files; others are left out
    public static List<Checksummed> checksums(Path folder, Collection<ByteSource> read)
            throws IOException {
        Map<Path, ByteSource> sources = new HashMap<>();
        read.forEach(source -> sources.put(source.path(), source));
        List<Checksummed> all = new ArrayList<>();
        for (List<Item> items : byFile(DistcpMetadata.read(folder)).values()) {
            ByteSource source = sources.get(folder.resolve(items.getFirst().place().file()));
            if (source != null) {
                for (Item item : items) {
                    Place place = item.place();
                    all.addAll(TorchFile.checksums(source, place.offset(), place.length()));
                }
            }
        }
        return all;
    }

    /// Compares the CRC-32 of every record of every item.
    public static List<Finding> damage(Path folder) throws IOException {
        List<Finding> found = new ArrayList<>();
        for (List<Item> items : byFile(DistcpMetadata.read(folder)).values()) {
            PlainFile file = PlainFile.of(folder.resolve(items.getFirst().place().file()));
            for (Item item : items) {
                Place place = item.place();
                TorchFolder.damage(() -> TorchFile.open(file, place.offset(), place.length()))
                        .ifPresent(found::add);
            }
        }
        return found;
    }
}
