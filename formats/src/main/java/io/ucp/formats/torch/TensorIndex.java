package io.ucp.formats.torch;

import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.io.MalformedFileException;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/// Finds the tensors in a tree, and checks that each lies inside its storage.
record TensorIndex(
        Region region, String root, TorchRecord pickle, Map<String, TorchRecord> records) {

    IdentityHashMap<PyObject, TorchTensor> of(PickleValue tree) throws MalformedFileException {
        List<PyObject> objects = new ArrayList<>();
        PickleGraph.forEach(
                tree,
                container -> {
                    if (container instanceof PyObject object) {
                        objects.add(object);
                    }
                });
        IdentityHashMap<PyObject, TorchTensor> tensors = new IdentityHashMap<>();
        for (PyObject object : objects) {
            TorchTensor tensor = read(object);
            if (tensor != null) {
                tensors.put(object, tensor);
            }
        }
        return tensors;
    }

    private @Nullable TorchTensor read(PyObject object) throws MalformedFileException {
        try {
            TorchTensor tensor = TensorPickles.read(object).orElse(null);
            if (tensor != null) {
                check(tensor);
            }
            return tensor;
        } catch (ArithmeticException _) {
            throw malformed("a tensor whose size does not fit in 64 bits", "a smaller one");
        }
    }

    private void check(TorchTensor tensor) throws MalformedFileException {
        String name = root + "/data/" + tensor.storageKey();
        TorchRecord record = records.get(name);
        if (record == null) {
            throw malformed(
                    "a tensor %s in storage '%s'".formatted(tensor, tensor.storageKey()),
                    "the record '%s', which is not there".formatted(name));
        }
        if (record.size() != tensor.storageSize()) {
            throw malformed(
                    "storage '%s' of %d bytes".formatted(tensor.storageKey(), tensor.storageSize()),
                    "%d bytes, the size of its record".formatted(record.size()));
        }
        long end = Math.addExact(tensor.storageOffset(), tensor.extent());
        if (Math.multiplyExact(end, tensor.dtype().width()) > record.size()) {
            throw malformed(
                    "a tensor %s at element %d of storage '%s'"
                            .formatted(tensor, tensor.storageOffset(), tensor.storageKey()),
                    "it inside the storage's %d bytes".formatted(record.size()));
        }
    }

    private MalformedFileException malformed(String found, String expected) {
        return new MalformedFileException(
                region.path(),
                pickle.offset(),
                found,
                expected,
                "the file is damaged or was made by hand; copy it again from where it was written");
    }
}
