package io.ucp.formats.dcp;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.Coordinate;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.distcp.Chunk;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.formats.training.StateDictKeys;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/// The state dict of a checkpoint of this format while it is in another form: every key in order,
/// tensors by the elements of parameters that they are, so that the way back has the same keys.
///
/// ```
/// state_dict.pt          {state_dict: {key: tensor or object}, planner_data: {key: path} or None,
///                         objects: {key: file}, chunks: {key: [(start, extent), ..]}}
/// state_dict/0.pt, ..    objects that have tensors in them
/// ```
///
/// `chunks` has those that the job's mesh does not explain.
///
/// @param values by key, in the order of the state dict; those in `objects` are `None`
/// @param storages of the tensors among `values`
record CarriedStateDict(
        Map<String, PickleValue> values,
        Optional<PyDict> planner,
        Map<String, Value> objects,
        Map<String, List<Chunk>> chunks,
        Map<String, Storage> storages) {
    private static final String PATH = "state_dict.pt";

    /// An object with its storages.
    record Value(PickleValue tree, Map<String, Storage> storages) {}

    List<CarriedFile> files() {
        List<CarriedFile> files = new ArrayList<>();
        Map<String, PyText> names = new LinkedHashMap<>();
        objects.forEach(
                (key, value) -> {
                    String path = String.format(Locale.ROOT, "state_dict/%d.pt", names.size());
                    names.put(key, PyText.of(path));
                    files.add(file(path, StateDictKeys.OBJECT, value.tree(), value.storages()));
                });
        Map<String, PickleValue> boxes = new LinkedHashMap<>();
        chunks.forEach(
                (key, list) ->
                        boxes.put(
                                key, PyList.of(list.stream().map(CarriedStateDict::box).toList())));
        Map<String, PickleValue> root = new LinkedHashMap<>();
        root.put("state_dict", PyDict.of(values));
        root.put("planner_data", planner.map(PickleValue.class::cast).orElse(PyNone.NONE));
        root.put("objects", PyDict.of(names));
        root.put("chunks", PyDict.of(boxes));
        files.addFirst(file(PATH, StateDictKeys.SHARDED, PyDict.of(root), storages));
        return files;
    }

    private static CarriedFile file(
            String path, String role, PickleValue root, Map<String, Storage> storages) {
        return new CarriedFile(
                path, role, Coordinate.NONE, Optional.empty(), Optional.of(root), storages);
    }

    private static PickleValue box(Chunk chunk) {
        return PyTuple.of(numbers(chunk.offsets()), numbers(chunk.extent().dims()));
    }

    private static PickleValue numbers(long[] numbers) {
        return PyTuple.of(Arrays.stream(numbers).mapToObj(PyInt::of).toList());
    }

    /// The one that a state brings along, where it came from this format.
    static Optional<CarriedStateDict> of(WriteRequest request) {
        Optional<CarriedFile> file = find(request, f -> f.role().equals(StateDictKeys.SHARDED));
        Optional<PickleValue> root = file.flatMap(CarriedFile::root);
        Optional<PyDict> state =
                root.flatMap(r -> r.find("state_dict")).flatMap(PickleValue::asDict);
        if (file.isEmpty() || root.isEmpty() || state.isEmpty()) {
            return Optional.empty();
        }
        Map<String, PickleValue> values = new LinkedHashMap<>();
        entries(state).forEach(values::put);
        Map<String, Value> objects = new LinkedHashMap<>();
        entries(root.get().find("objects").flatMap(PickleValue::asDict))
                .forEach(
                        (key, path) -> {
                            String name = path.asText().orElse("");
                            CarriedFile object =
                                    find(request, f -> f.path().equals(name)).orElseThrow();
                            objects.put(
                                    key, new Value(object.root().orElseThrow(), object.storages()));
                        });
        Map<String, List<Chunk>> chunks = new LinkedHashMap<>();
        entries(root.get().find("chunks").flatMap(PickleValue::asDict))
                .forEach(
                        (key, list) ->
                                chunks.put(
                                        key,
                                        list.asSequence().orElse(List.of()).stream()
                                                .map(CarriedStateDict::chunk)
                                                .toList()));
        return Optional.of(
                new CarriedStateDict(
                        values,
                        root.get().find("planner_data").flatMap(PickleValue::asDict),
                        objects,
                        chunks,
                        file.get().storages()));
    }

    private static Optional<CarriedFile> find(WriteRequest request, Predicate<CarriedFile> is) {
        return request.carried().stream().filter(is).findFirst();
    }

    private static Map<String, PickleValue> entries(Optional<PyDict> dict) {
        Map<String, PickleValue> entries = new LinkedHashMap<>();
        dict.ifPresent(
                d ->
                        d.entries()
                                .forEach(
                                        e ->
                                                e.key()
                                                        .asText()
                                                        .ifPresent(
                                                                k -> entries.put(k, e.value()))));
        return entries;
    }

    private static Chunk chunk(PickleValue box) {
        List<PickleValue> pair = box.asSequence().orElse(List.of());
        return Chunk.of(longs(pair.get(0)), longs(pair.get(1)));
    }

    private static long[] longs(PickleValue numbers) {
        return numbers.asSequence().orElse(List.of()).stream()
                .mapToLong(n -> n.asLong().orElseThrow())
                .toArray();
    }
}
