package io.ucp.formats.distcp;

import io.ucp.formats.distcp.StateDictEntry.OfObject;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// `.metadata` as a tree. Every name and text that comes again is one node, which a pickle holds
/// once.
final class MetadataWriter {
    private static final String MODULE = "torch.distributed.checkpoint.metadata";

    /// `CURRENT_DCP_VERSION`.
    private static final String VERSION = "1.0.0";

    private static final PyText OFFSETS = PyText.of("offsets");
    private static final PyText SIZES = PyText.of("sizes");
    private static final PyText FQN = PyText.of("fqn");
    private static final PyText INDEX = PyText.of("index");
    private static final PyText OFFSET = PyText.of("offset");
    private static final PyText RELATIVE_PATH = PyText.of("relative_path");
    private static final PyText LENGTH = PyText.of("length");
    private static final PyGlobal SIZE = new PyGlobal("torch", "Size");

    private final PyObject strided =
            PyObject.call(
                    new PyGlobal("torch.serialization", "_get_layout"), PyText.of("torch.strided"));
    private final PyObject contiguous =
            PyObject.call(new PyGlobal(MODULE, "_MEM_FORMAT_ENCODING"), PyInt.of(0));
    private final Map<String, PyText> files = new HashMap<>();

    private MetadataWriter() {}

    static PickleValue tree(DistcpMetadata metadata) {
        return new MetadataWriter().of(metadata);
    }

    private PickleValue of(DistcpMetadata metadata) {
        List<PyDict.Entry> entries = new ArrayList<>();
        List<PyDict.Entry> storage = new ArrayList<>();
        metadata.entries()
                .forEach(
                        (name, entry) -> {
                            PyText key = PyText.of(name);
                            entries.add(new PyDict.Entry(key, entry(key, entry, storage)));
                        });
        List<PyDict.Entry> attributes = new ArrayList<>();
        attributes.add(attribute("state_dict_metadata", PyDict.of(entries)));
        attributes.add(
                attribute(
                        "planner_data",
                        metadata.planner().map(PickleValue.class::cast).orElse(PyNone.NONE)));
        attributes.add(attribute("storage_data", PyDict.of(storage)));
        // Who wrote it, and when, would make the same state another file.
        attributes.add(attribute("storage_meta", PyNone.NONE));
        attributes.add(attribute("version", PyText.of(VERSION)));
        metadata.extra().ifPresent(extra -> attributes.add(attribute("mcore_data", extra)));
        return PyObject.instance(new PyGlobal(MODULE, "Metadata")).withState(PyDict.of(attributes));
    }

    private PickleValue entry(PyText key, StateDictEntry entry, List<PyDict.Entry> storage) {
        return switch (entry) {
            case OfObject(Place place) -> {
                PyDict index = PyDict.of(List.of(item(FQN, key), item(INDEX, PyNone.NONE)));
                storage.add(placed(index, place));
                yield object("BytesStorageMetadata", PyDict.empty());
            }
            case OfTensor tensor -> tensor(key, tensor, storage);
        };
    }

    private PickleValue tensor(PyText key, OfTensor tensor, List<PyDict.Entry> storage) {
        List<PickleValue> chunks = new ArrayList<>();
        for (Stored stored : tensor.chunks()) {
            PickleValue start = size(stored.chunk().offsets());
            PyDict box =
                    PyDict.of(
                            List.of(
                                    item(OFFSETS, start),
                                    item(SIZES, size(stored.chunk().extent().dims()))));
            PyDict index =
                    PyDict.of(
                            List.of(
                                    item(FQN, key),
                                    item(INDEX, PyInt.of(chunks.size())),
                                    item(OFFSET, start)));
            storage.add(placed(index, stored.place()));
            chunks.add(object("ChunkStorageMetadata", box));
        }
        PickleValue properties =
                PyObject.instance(new PyGlobal(MODULE, "TensorProperties"))
                        .withState(
                                PyTuple.of(
                                        dtype(tensor.dtype()),
                                        strided,
                                        new PyBool(tensor.requiresGrad()),
                                        contiguous,
                                        new PyBool(false)));
        return object(
                "TensorStorageMetadata",
                PyDict.of(
                        List.of(
                                attribute("properties", properties),
                                attribute("size", size(tensor.shape().dims())),
                                attribute("chunks", PyList.of(chunks)))));
    }

    private PyDict.Entry placed(PyDict index, Place place) {
        PyText file = files.computeIfAbsent(place.file(), PyText::of);
        PyDict info =
                PyDict.of(
                        List.of(
                                item(RELATIVE_PATH, file),
                                item(OFFSET, PyInt.of(place.offset())),
                                item(LENGTH, PyInt.of(place.length()))));
        return new PyDict.Entry(
                object("MetadataIndex", index),
                PyObject.instance(
                                new PyGlobal(
                                        "torch.distributed.checkpoint.filesystem", "_StorageInfo"))
                        .withState(info));
    }

    private static PickleValue dtype(DType dtype) {
        return new PyGlobal("torch", dtype.torchName());
    }

    private static PickleValue size(long[] numbers) {
        return PyObject.call(SIZE, PyTuple.of(Arrays.stream(numbers).mapToObj(PyInt::of).toList()));
    }

    /// As pickle writes an instance of a dataclass. One without attributes has no state.
    private static PyObject object(String cls, PyDict attributes) {
        PyObject instance = PyObject.instance(new PyGlobal(MODULE, cls));
        return attributes.size() == 0 ? instance : instance.withState(attributes);
    }

    private static PyDict.Entry attribute(String name, PickleValue value) {
        return new PyDict.Entry(PyText.of(name), value);
    }

    private static PyDict.Entry item(PyText name, PickleValue value) {
        return new PyDict.Entry(name, value);
    }
}
