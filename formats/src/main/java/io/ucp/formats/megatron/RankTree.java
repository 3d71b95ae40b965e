package io.ucp.formats.megatron;

import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.mcore.Grid;
import io.ucp.formats.mcore.HeldShard;
import io.ucp.formats.mcore.ModelTemplate;
import io.ucp.formats.mcore.ModelTemplate.Value;
import io.ucp.formats.mcore.Names;
import io.ucp.formats.mcore.SourceModel.Rank;
import io.ucp.formats.mcore.TargetModel;
import io.ucp.formats.mcore.TargetModel.Slot;
import io.ucp.formats.torch.StorageKeys;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// The object of a rank's `model_optim_rng.pt`: the donor's, with the model, the optimizer, the
/// arguments and the random generators of the target's rank in place of its own.
///
/// @param path for messages
/// @param torch with the donor's storages
/// @param random absent where they are dropped
record RankTree(
        String path,
        TorchBuilder torch,
        Rank donor,
        TargetModel model,
        ModelTemplate template,
        Grid grid,
        PickleValue arguments,
        Optional<PickleValue> optimizer,
        Optional<PickleValue> random) {
    PickleValue of(int tp, int stage, int ep) {
        List<PyDict.Entry> entries = new ArrayList<>();
        boolean models = false;
        for (PyDict.Entry entry : donor.root().entries()) {
            String key = entry.key().asText().orElse("");
            if (key.matches("model\\d*")) {
                for (int c = 0; !models && c < grid.virtual(); c++) {
                    entries.add(
                            new PyDict.Entry(
                                    PyText.of(ModelTemplate.key(c, grid.virtual())),
                                    chunk(c, tp, stage, ep)));
                }
                models = true;
                continue;
            }
            Optional<PickleValue> value =
                    switch (key) {
                        case "args" -> Optional.of(arguments);
                        case "optimizer" -> optimizer;
                        case "rng_state" -> random;
                        default -> Optional.of(entry.value());
                    };
            value.ifPresent(v -> entries.add(new PyDict.Entry(entry.key(), v)));
        }
        return PyDict.of(entries);
    }

    private PickleValue chunk(int chunk, int tp, int stage, int ep) {
        Map<String, PickleValue> entries = new LinkedHashMap<>();
        for (Slot slot : model.slots(chunk, tp, stage, ep)) {
            value(slot).ifPresent(v -> entries.put(slot.local(), v));
        }
        PyObject dict = PyObject.orderedDict(PyDict.of(entries));
        PyDict metadata = metadata(chunk, stage);
        return metadata.size() == 0
                ? dict
                : dict.withState(PyDict.of(Map.of("_metadata", PyObject.orderedDict(metadata))));
    }

    private Optional<PickleValue> value(Slot slot) {
        if (slot.shard().isPresent()) {
            HeldShard held = slot.shard().get();
            DType dtype =
                    Optional.ofNullable(held.facts().states().get("weight")).orElse(DType.FLOAT32);
            return Optional.of(
                    TensorPickles.write(
                            torch.tensor(dtype, held.shape(), held.parts("weight", dtype, 0))));
        }
        Value known = template.values().get(slot.global());
        if (known == null) {
            return Optional.empty();
        }
        Optional<TorchTensor> tensor = TensorPickles.read(known.value());
        boolean ofLayer = slot.local().endsWith("_extra_state");
        if (tensor.isPresent() && !ofLayer && tensor.get().shape().count() > 0) {
            throw new RefusedException(
                    "%s: %s".formatted(path, slot.local()),
                    "a tensor that is neither a parameter nor a buffer",
                    "to know how the ranks of the job hold it",
                    "name it in a spec");
        }
        return Optional.of(adopted(known));
    }

    /// A value of another file than the donor's brings its tensors along.
    private PickleValue adopted(Value known) {
        if (known.file().path().equals(donor.file().path())
                || StorageKeys.in(known.value()).isEmpty()) {
            return known.value();
        }
        TorchTensor tensor =
                TensorPickles.read(known.value())
                        .filter(TorchTensor::isContiguous)
                        .orElseThrow(
                                () ->
                                        new RefusedException(
                                                path,
                                                "an object of a layer that holds tensors",
                                                "a tensor, a number or bytes",
                                                "--to universal keeps it"));
        Storage storage = known.file().storages().get(tensor.storageKey());
        long from = tensor.storageOffset() * tensor.dtype().width();
        List<Part> parts = new ArrayList<>();
        for (Content content : storage == null ? List.<Content>of() : storage.content()) {
            if (content instanceof Content.Raw raw) {
                long start = Math.max(raw.offset(), from);
                long end = Math.min(raw.offset() + raw.size(), from + tensor.size());
                if (start < end) {
                    parts.add(
                            new Part.Copied(
                                    start - from,
                                    raw.source(),
                                    raw.sourceOffset() + start - raw.offset(),
                                    end - start));
                }
            }
        }
        return TensorPickles.write(torch.tensor(tensor.dtype(), tensor.shape(), parts));
    }

    /// The versions of the modules of a chunk, which torch keeps beside the state dict.
    private PyDict metadata(int chunk, int stage) {
        List<Integer> counts = model.layersOfChunks();
        int at = chunk * grid.pp() + stage;
        long first = counts.subList(0, at).stream().mapToLong(Integer::longValue).sum();
        Map<String, PickleValue> modules = new LinkedHashMap<>();
        boolean begins = at == 0;
        boolean ends = at == counts.size() - 1;
        template.modules()
                .getOrDefault(-1L, Map.of())
                .forEach(
                        (name, value) -> {
                            boolean ofFirst = name.startsWith("embedding");
                            boolean ofLast =
                                    name.startsWith("output_layer")
                                            || name.startsWith("decoder.final");
                            if ((!ofFirst || begins) && (!ofLast || ends)) {
                                modules.put(name, value);
                            }
                        });
        for (long l = first; l < first + counts.get(at); l++) {
            long by = -first;
            template.modules()
                    .getOrDefault(l, Map.of())
                    .forEach(
                            (name, value) -> {
                                String moved = Names.moved(name + ".", by, 0);
                                modules.put(moved.substring(0, moved.length() - 1), value);
                            });
        }
        return PyDict.of(modules);
    }
}
