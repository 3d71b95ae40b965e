package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyObject;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Parameters that a spec leaves out (`drop`), taken out of the trees that a target is made of too:
/// lists that name them would promise a state that is not there.
public final class LeftOut {
    private static final int DEEPEST = 64;

    /// A pipeline layer's file, whose tensors are named without the layer's number.
    private static final Pattern LAYER =
            Pattern.compile("layer_(\\d+)(?:-[a-z]+_\\d+)?-model_states\\.pt");

    private final Set<String> names = new HashSet<>();

    private LeftOut(WriteRequest request) {
        for (CarriedFile file : request.carried()) {
            if (file.role().equals("model_states")) {
                file.root().ifPresent(this::listed);
            }
        }
        request.parameters().forEach(p -> names.remove(p.name()));
        request.parameters().forEach(p -> p.aliases().forEach(names::remove));
        names.removeAll(request.hints().aliases().keySet());
        // Names that count experts from a rank's first stand for others on each rank.
        names.removeIf(name -> name.contains(".deepspeed_experts."));
    }

    private void listed(PickleValue root) {
        for (PickleValue group : sequence(root.find("param_shapes"))) {
            names.addAll(keys(Optional.of(group)));
        }
        names.addAll(keys(root.find("frozen_param_shapes")));
        sequence(root.find("buffer_names")).forEach(n -> n.asText().ifPresent(names::add));
    }

    private static List<PickleValue> sequence(Optional<PickleValue> value) {
        return value.flatMap(PickleValue::asSequence).orElse(List.of());
    }

    private static List<String> keys(Optional<PickleValue> value) {
        return value.flatMap(PickleValue::asDict).map(PyDict::entries).orElse(List.of()).stream()
                .flatMap(e -> e.key().asText().stream())
                .toList();
    }

    /// The request with trees that do not name what is left out.
    public static WriteRequest of(WriteRequest request) {
        LeftOut out = new LeftOut(request);
        return out.names.isEmpty()
                ? request
                : new WriteRequest(
                        request.tag(),
                        request.iteration(),
                        request.origin(),
                        request.parameters(),
                        request.hints(),
                        request.carried().stream().map(out::edited).toList(),
                        request.foreign(),
                        request.options(),
                        request.job());
    }

    private CarriedFile edited(CarriedFile file) {
        Optional<PickleValue> root =
                switch (file.role()) {
                    case "model_states" -> file.root().map(this::modelStates);
                    case "layer" -> file.root().map(r -> layer(file.path(), r));
                    default -> file.root();
                };
        return root.equals(file.root())
                ? file
                : new CarriedFile(
                        file.path(),
                        file.role(),
                        file.at(),
                        Optional.empty(),
                        root,
                        file.storages());
    }

    private PickleValue modelStates(PickleValue root) {
        Optional<PyDict> held = root.asDict();
        if (held.isEmpty()) {
            return root;
        }
        PyDict tree = held.get();
        for (String key : List.of("module", "frozen_param_shapes", "frozen_param_fragments")) {
            Optional<PickleValue> value = tree.find(key);
            tree = value.isPresent() ? tree.with(key, without("", value.get(), 0)) : tree;
        }
        Optional<List<PickleValue>> groups =
                tree.find("param_shapes").flatMap(PickleValue::asSequence);
        if (groups.isPresent()) {
            tree =
                    tree.with(
                            "param_shapes",
                            PyList.of(groups.get().stream().map(g -> without("", g, 0)).toList()));
        }
        Optional<List<PickleValue>> buffers =
                tree.find("buffer_names").flatMap(PickleValue::asSequence);
        return buffers.isEmpty()
                ? tree
                : tree.with(
                        "buffer_names",
                        PyList.of(
                                buffers.get().stream()
                                        .filter(n -> !names.contains(n.asText().orElse("")))
                                        .toList()));
    }

    private PickleValue layer(String path, PickleValue root) {
        Matcher name = LAYER.matcher(path);
        return name.matches() ? without(Integer.parseInt(name.group(1)) + ".", root, 0) : root;
    }

    /// A dict, nested or not, without what is left out.
    private PickleValue without(String prefix, PickleValue value, int depth) {
        Optional<PyDict> dict = value.asDict();
        if (dict.isEmpty() || depth > DEEPEST) {
            return value;
        }
        List<PyDict.Entry> entries = new ArrayList<>();
        for (PyDict.Entry entry : dict.get().entries()) {
            String name = prefix + entry.key().asText().orElse("");
            if (!names.contains(name)) {
                entries.add(
                        new PyDict.Entry(
                                entry.key(), without(name + ".", entry.value(), depth + 1)));
            }
        }
        PyDict kept = PyDict.of(entries);
        return value instanceof PyObject object ? object.withItems(kept) : kept;
    }
}
