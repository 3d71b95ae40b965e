package io.ucp.formats.distcp;

import io.ucp.formats.distcp.StateDictEntry.OfObject;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.torch.pickle.PickleReader;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.RunningCalls;
import io.ucp.io.MalformedFileException;
import io.ucp.io.WholeFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// Reads `.metadata` and checks that it adds up by itself: what the files hold is [ItemReader]'s.
final class MetadataReader {
    private static final String DAMAGED =
            "the file is damaged or was made by hand; copy the checkpoint again from where it was"
                    + " written";

    private static final String TILES = "chunks that hold every element once";

    /// Largest file that is read, in bytes: a pickle is held in memory while it is read.
    private static final long LARGEST = Integer.MAX_VALUE - 8;

    private final Path file;
    private final Map<Key, Place> places = new HashMap<>();

    private MetadataReader(Path file) {
        this.file = file;
    }

    /// @param start of the chunk, empty for an object
    private record Key(String name, List<Long> start) {}

    static DistcpMetadata read(Path file) throws IOException {
        long size = Files.size(file);
        if (size > LARGEST) {
            throw new MalformedFileException(
                    file, -1, "%d bytes".formatted(size), "less than 2 GiB", "");
        }
        PickleValue root = PickleReader.read(file, 0, WholeFile.read(file));
        RunningCalls.refuse(file, root);
        return new MetadataReader(file).metadata(root);
    }

    private DistcpMetadata metadata(PickleValue root) throws IOException {
        if (!isA(root, "Metadata")) {
            throw malformed("a pickle of %s".formatted(root), "torch's checkpoint Metadata");
        }
        PyDict attributes = attributes(root, "Metadata");
        if (attributes.find("storage_data").isEmpty()) {
            throw malformed(
                    "Metadata without storage_data, as torch before 1.13 wrote it",
                    "that of torch 1.13 or later",
                    "load it with the torch that wrote it and save it with a later one");
        }
        PyDict storage = dict(attributes, "storage_data");
        for (PyDict.Entry entry : storage.entries()) {
            place(entry);
        }
        Map<String, StateDictEntry> entries = new LinkedHashMap<>();
        for (PyDict.Entry entry : dict(attributes, "state_dict_metadata").entries()) {
            String key =
                    entry.key()
                            .asText()
                            .orElseThrow(
                                    () ->
                                            malformed(
                                                    "the key %s of the state dict"
                                                            .formatted(entry.key()),
                                                    "a text"));
            entries.put(key, entry(key, entry.value()));
        }
        if (!places.isEmpty()) {
            Key left = places.keySet().iterator().next();
            throw malformed(
                    "storage_data places '%s'%s"
                            .formatted(
                                    left.name(),
                                    left.start().isEmpty() ? "" : " at " + left.start()),
                    "only what state_dict_metadata has");
        }
        return new DistcpMetadata(
                entries,
                attributes.find("planner_data").flatMap(PickleValue::asDict),
                attributes.find("mcore_data").flatMap(PickleValue::asDict));
    }

    private void place(PyDict.Entry entry) throws IOException {
        PyDict index = attributes(entry.key(), "MetadataIndex");
        String name =
                index.find("fqn")
                        .flatMap(PickleValue::asText)
                        .orElseThrow(() -> malformed("a MetadataIndex without fqn", "a key"));
        Optional<PickleValue> offset = index.find("offset").filter(o -> !o.isNone());
        List<Long> start =
                offset.isPresent() ? numbers(offset, "the offset of '" + name + "'") : List.of();
        PyDict info = attributes(entry.value(), "_StorageInfo");
        String where = "the item of '%s'".formatted(name);
        if (info.find("transform_descriptors")
                .flatMap(PickleValue::asSequence)
                .filter(list -> !list.isEmpty())
                .isPresent()) {
            throw malformed(
                    where + " was written through a transform (compression or the like)",
                    "plain torch.save items",
                    "load it with torch and save it without extensions");
        }
        String path =
                info.find("relative_path")
                        .flatMap(PickleValue::asText)
                        .orElseThrow(() -> malformed(where + " has no relative_path", "a file"));
        if (!isBelow(path)) {
            throw malformed(
                    where + " is in '%s'".formatted(path), "a file of the checkpoint's folder");
        }
        Place place = new Place(path, number(info, "offset", where), number(info, "length", where));
        if (place.offset() > Long.MAX_VALUE - place.length()) {
            throw malformed(where + " ends past 2^63 bytes", "it inside its file");
        }
        if (places.put(new Key(name, start), place) != null) {
            throw malformed(
                    "storage_data places '%s'%s twice"
                            .formatted(name, start.isEmpty() ? "" : " at " + start),
                    "each chunk once");
        }
    }

    /// Nothing outside of the folder, whatever the file says.
    private static boolean isBelow(String path) {
        if (path.isEmpty() || path.indexOf('\0') >= 0) {
            return false;
        }
        Path relative = Path.of(path);
        return !relative.isAbsolute()
                && relative.equals(relative.normalize())
                && !relative.startsWith("..");
    }

    private StateDictEntry entry(String key, PickleValue value) throws IOException {
        if (isA(value, "BytesStorageMetadata")) {
            return new OfObject(taken(key, List.of()));
        }
        if (!isA(value, "TensorStorageMetadata")) {
            throw malformed(
                    "'%s' is %s".formatted(key, value),
                    "TensorStorageMetadata or BytesStorageMetadata");
        }
        PyDict attributes = attributes(value, "TensorStorageMetadata");
        Shape shape = shape(numbers(attributes.find("size"), "the size of '" + key + "'"), key);
        List<PickleValue> properties = properties(key, attributes);
        List<PickleValue> listed =
                attributes
                        .find("chunks")
                        .flatMap(PickleValue::asSequence)
                        .orElseThrow(() -> malformed("'%s' without chunks".formatted(key), "them"));
        List<Chunk> chunks = new ArrayList<>();
        for (PickleValue each : listed) {
            chunks.add(chunk(key, each, shape));
        }
        Optional<String> problem = ChunkTiling.problem(shape, chunks);
        if (problem.isPresent()) {
            throw malformed("'%s' of shape %s: %s".formatted(key, shape, problem.get()), TILES);
        }
        List<Stored> stored = new ArrayList<>();
        for (Chunk chunk : chunks) {
            stored.add(new Stored(chunk, taken(key, chunk.start())));
        }
        boolean grad = properties.size() > 2 && properties.get(2).asBool().orElse(false);
        return new OfTensor(dtype(key, properties.getFirst()), shape, grad, stored);
    }

    private Place taken(String key, List<Long> start) throws MalformedFileException {
        Place place = places.remove(new Key(key, start));
        if (place == null) {
            throw malformed(
                    "storage_data has no place for '%s'%s"
                            .formatted(key, start.isEmpty() ? "" : " at " + start),
                    "one for each chunk");
        }
        return place;
    }

    private Chunk chunk(String key, PickleValue value, Shape whole) throws MalformedFileException {
        PyDict attributes = attributes(value, "ChunkStorageMetadata");
        String what = "a chunk of '%s'".formatted(key);
        List<Long> start = numbers(attributes.find("offsets"), what);
        List<Long> extent = numbers(attributes.find("sizes"), what);
        if (start.size() != whole.rank() || extent.size() != whole.rank()) {
            throw malformed(
                    "%s at %s of %s".formatted(what, start, extent),
                    "%d dims, as its shape %s has".formatted(whole.rank(), whole));
        }
        return new Chunk(start, shape(extent, key));
    }

    /// dtype, layout, requires_grad, memory format, pinned: the state that `TensorProperties` gives
    /// itself, and a dict of these in the earliest files.
    private List<PickleValue> properties(String key, PyDict tensor) throws MalformedFileException {
        Optional<PickleValue> state =
                tensor.find("properties")
                        .filter(p -> isA(p, "TensorProperties"))
                        .map(PyObject.class::cast)
                        .flatMap(PyObject::state);
        List<PickleValue> listed =
                state.flatMap(PickleValue::asDict)
                        .flatMap(dict -> dict.find("dtype"))
                        .map(List::of)
                        .or(() -> state.flatMap(PickleValue::asSequence))
                        .orElse(List.of());
        if (listed.isEmpty()) {
            throw malformed("'%s' without TensorProperties".formatted(key), "its dtype");
        }
        boolean dense =
                listed.size() < 2
                        || !(listed.get(1) instanceof PyObject layout)
                        || layout.argument(0)
                                .flatMap(PickleValue::asText)
                                .filter("torch.strided"::equals)
                                .isPresent();
        if (!dense) {
            throw malformed("'%s' is sparse".formatted(key), "a strided tensor");
        }
        return listed;
    }

    private DType dtype(String key, PickleValue value) throws MalformedFileException {
        Optional<DType> known =
                value instanceof PyGlobal global && global.module().equals("torch")
                        ? DType.ofTorchName(global.name())
                        : Optional.empty();
        return known.orElseThrow(
                () -> malformed("'%s' of dtype %s".formatted(key, value), "a dtype of torch"));
    }

    private Shape shape(List<Long> dims, String key) throws MalformedFileException {
        try {
            return Shape.of(dims.stream().mapToLong(Long::longValue).toArray());
        } catch (ArithmeticException _) {
            throw malformed("'%s' of shape %s".formatted(key, dims), "fewer than 2^63 elements");
        }
    }

    /// None of them negative, and none so large that an end could not be a number.
    private List<Long> numbers(Optional<PickleValue> value, String what)
            throws MalformedFileException {
        List<PickleValue> elements =
                value.flatMap(PickleValue::asSequence)
                        .orElseThrow(() -> malformed(what + " is missing", "a list of numbers"));
        List<Long> numbers = new ArrayList<>(elements.size());
        for (PickleValue element : elements) {
            OptionalLong number = element.asLong();
            if (number.isEmpty()
                    || number.getAsLong() < 0
                    || number.getAsLong() > Long.MAX_VALUE / 2) {
                throw malformed("%s has the number %s".formatted(what, element), "0 or more");
            }
            numbers.add(number.getAsLong());
        }
        return Collections.unmodifiableList(numbers);
    }

    private long number(PyDict attributes, String name, String where)
            throws MalformedFileException {
        Optional<PickleValue> value = attributes.find(name);
        OptionalLong number = value.map(PickleValue::asLong).orElse(OptionalLong.empty());
        if (number.isEmpty() || number.getAsLong() < 0) {
            throw malformed(
                    "%s has the %s %s"
                            .formatted(where, name, value.map(Object::toString).orElse("none")),
                    "0 or more");
        }
        return number.getAsLong();
    }

    private PyDict dict(PyDict attributes, String name) throws MalformedFileException {
        return attributes
                .find(name)
                .flatMap(PickleValue::asDict)
                .orElseThrow(() -> malformed("Metadata without " + name, "a dict"));
    }

    private PyDict attributes(PickleValue value, String cls) throws MalformedFileException {
        if (!isA(value, cls)) {
            throw malformed("%s".formatted(value), "a " + cls);
        }
        return ((PyObject) value)
                .attributes()
                .orElseThrow(() -> malformed("a %s without attributes".formatted(cls), "them"));
    }

    /// By the class's own name: its module moved between releases of torch.
    private static boolean isA(PickleValue value, String cls) {
        return value instanceof PyObject object
                && object.callable() instanceof PyGlobal global
                && global.name().equals(cls)
                && global.module().startsWith("torch.distributed.");
    }

    private MalformedFileException malformed(String found, String expected) {
        return malformed(found, expected, DAMAGED);
    }

    private MalformedFileException malformed(String found, String expected, String remedy) {
        return new MalformedFileException(file, -1, found, expected, remedy);
    }
}
