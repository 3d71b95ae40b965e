package io.ucp.formats.deepspeed;

import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.ElementSearch;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;

/// A `model_states` file: what DeepSpeed and the training script say of the model.
///
/// @param module the model's tensors, nested keys joined with `.`; empty for a pipeline (its layers
///   have files of their own)
/// @param groups trainable parameters by optimizer group (ZeRO-3: by sub-group), in flat order;
///   absent without ZeRO
/// @param frozen parameters without optimizer state, where the stage lists them (from 2 on)
/// @param fragments of frozen parameters: whole (stage 2), or this rank's flat part (stage 3)
/// @param shared alias -> canonical name; written by the first rank only
public record ModelStates(
        CheckpointFile file,
        Map<String, TensorEntry> module,
        Optional<List<Map<String, Shape>>> groups,
        Optional<Map<String, Shape>> frozen,
        Map<String, TensorEntry> fragments,
        Map<String, String> shared,
        Set<String> buffers) {

    public static ModelStates of(CheckpointFile file) throws MalformedFileException {
        PyDict root = file.dict(file.root(), "a dict of model states");
        Map<String, TensorEntry> module = new LinkedHashMap<>();
        Optional<PickleValue> held = root.find("module").filter(v -> !v.isNone());
        if (held.isPresent()) {
            flatten(file, file.dict(held.get(), "a dict under `module`"), module);
        }
        return new ModelStates(
                file,
                module,
                groups(file, root),
                shapes(file, root, "frozen_param_shapes"),
                fragments(file, root),
                shared(root),
                buffers(root));
    }

    private static final int DEEPEST = 64;

    static void flatten(CheckpointFile file, PyDict dict, Map<String, TensorEntry> into)
            throws MalformedFileException {
        flatten(file, "", dict, into, 0, new ElementSearch());
    }

    private static void flatten(
            CheckpointFile file,
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
            String name = prefix + entry.key().asText().orElse(entry.key().toString());
            Optional<TensorEntry> tensor = file.tensor(entry.value());
            if (tensor.isPresent()) {
                if (into.put(name, tensor.get()) != null) {
                    throw file.malformed(
                            "two tensors are `%s`, one of them in a dict of its own"
                                    .formatted(name),
                            "one tensor of a name");
                }
            } else {
                Optional<PyDict> inner = entry.value().asDict();
                if (inner.isPresent()) {
                    search.enter(file.path(), name, entry.value());
                    flatten(file, name + ".", inner.get(), into, depth + 1, search);
                } else {
                    search.requireNone(file.path(), name, entry.value());
                }
            }
        }
    }

    /// A list of dicts; a single dict in the oldest files.
    private static Optional<List<Map<String, Shape>>> groups(CheckpointFile file, PyDict root)
            throws MalformedFileException {
        Optional<PickleValue> value = root.find("param_shapes").filter(v -> !v.isNone());
        if (value.isEmpty()) {
            return Optional.empty();
        }
        List<PickleValue> dicts = value.get().asSequence().orElse(List.of(value.get()));
        List<Map<String, Shape>> groups = new ArrayList<>();
        for (PickleValue dict : dicts) {
            groups.add(shapes(file, file.dict(dict, "dicts of shapes under `param_shapes`")));
        }
        return Optional.of(groups);
    }

    private static Optional<Map<String, Shape>> shapes(CheckpointFile file, PyDict root, String key)
            throws MalformedFileException {
        Optional<PickleValue> value = root.find(key).filter(v -> !v.isNone());
        return value.isEmpty()
                ? Optional.empty()
                : Optional.of(shapes(file, file.dict(value.get(), "a dict under `" + key + "`")));
    }

    private static Map<String, Shape> shapes(CheckpointFile file, PyDict dict)
            throws MalformedFileException {
        Map<String, Shape> shapes = new LinkedHashMap<>();
        for (PyDict.Entry entry : dict.entries()) {
            Optional<String> name = entry.key().asText();
            Optional<Shape> shape = shape(entry.value());
            if (name.isEmpty() || shape.isEmpty()) {
                throw file.malformed(
                        "%s has the shape %s".formatted(entry.key(), entry.value()),
                        "a name with a torch.Size of extents that are not negative");
            }
            shapes.put(name.get(), shape.get());
        }
        return shapes;
    }

    private static Optional<Shape> shape(PickleValue value) {
        Optional<List<PickleValue>> extents = value.asSequence();
        if (extents.isEmpty() || extents.get().stream().anyMatch(e -> e.asLong().orElse(-1) < 0)) {
            return Optional.empty();
        }
        try {
            return Optional.of(
                    Shape.of(
                            extents.get().stream()
                                    .mapToLong(e -> e.asLong().orElseThrow())
                                    .toArray()));
        } catch (ArithmeticException _) {
            return Optional.empty();
        }
    }

    private static Map<String, TensorEntry> fragments(CheckpointFile file, PyDict root)
            throws MalformedFileException {
        Map<String, TensorEntry> fragments = new LinkedHashMap<>();
        Optional<PickleValue> value = root.find("frozen_param_fragments").filter(v -> !v.isNone());
        if (value.isPresent()) {
            flatten(
                    file,
                    file.dict(value.get(), "a dict under `frozen_param_fragments`"),
                    fragments);
        }
        return fragments;
    }

    /// A dict; a list of pairs in older files.
    private static Map<String, String> shared(PyDict root) {
        Map<String, String> shared = new LinkedHashMap<>();
        Optional<PickleValue> value = root.find("shared_params");
        for (PyDict.Entry e :
                value.flatMap(PickleValue::asDict).map(PyDict::entries).orElse(List.of())) {
            put(shared, e.key(), e.value());
        }
        for (PickleValue pair : value.flatMap(PickleValue::asSequence).orElse(List.of())) {
            List<PickleValue> both = pair.asSequence().orElse(List.of());
            if (both.size() == 2) {
                put(shared, both.get(0), both.get(1));
            }
        }
        return shared;
    }

    private static void put(Map<String, String> shared, PickleValue alias, PickleValue canonical) {
        if (alias.asText().isPresent() && canonical.asText().isPresent()) {
            shared.put(alias.asText().get(), canonical.asText().get());
        }
    }

    private static Set<String> buffers(PyDict root) {
        Set<String> names = new LinkedHashSet<>();
        for (PickleValue name :
                root.find("buffer_names").flatMap(PickleValue::asSequence).orElse(List.of())) {
            name.asText().ifPresent(names::add);
        }
        return names;
    }

    /// A whole number under `path`.
    public OptionalLong number(String... path) {
        return file.root().find(path).map(PickleValue::asLong).orElse(OptionalLong.empty());
    }

    /// Every trainable parameter with its shape here.
    Map<String, Shape> trainable() {
        Map<String, Shape> all = new LinkedHashMap<>();
        groups.orElse(List.of()).forEach(all::putAll);
        return all;
    }
}
