package io.ucp.formats.torch;

import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.io.MalformedFileException;

import java.util.IdentityHashMap;
import java.util.Map;

/// Finds the tensors in a tree, and checks that each lies inside its storage.
record TensorIndex(
        Region region, String root, TorchRecord pickle, Map<String, TorchRecord> records) {

    IdentityHashMap<PyObject, TorchTensor> of(PickleValue tree) throws MalformedFileException {
        IdentityHashMap<PyObject, TorchTensor> tensors = new IdentityHashMap<>();
        boolean[] tooLarge = {false};
        PickleGraph.walk(
                tree,
                container -> {
                    if (!(container instanceof PyObject object)) {
                        return true;
                    }
                    try {
                        TensorPickles.read(object).ifPresent(t -> tensors.put(object, t));
                    } catch (ArithmeticException _) {
                        tooLarge[0] = true;
                    }
                    // Nothing else is inside a plain tensor; there are many of them.
                    return !tensors.containsKey(object) || !TensorPickles.isPlain(object);
                });
        if (tooLarge[0]) {
            throw tooLarge();
        }
        for (TorchTensor tensor : tensors.values()) {
            check(tensor);
        }
        return tensors;
    }

    private MalformedFileException tooLarge() {
        return malformed("a tensor whose size does not fit in 64 bits", "a smaller one");
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
        if (end(tensor) > record.size()) {
            throw malformed(
                    "a tensor %s at element %d of storage '%s'"
                            .formatted(tensor, tensor.storageOffset(), tensor.storageKey()),
                    "it inside the storage's %d bytes".formatted(record.size()));
        }
    }

    /// First byte of the storage past the tensor.
    private long end(TorchTensor tensor) throws MalformedFileException {
        try {
            long end = Math.addExact(tensor.storageOffset(), tensor.extent());
            return Math.multiplyExact(end, tensor.dtype().width());
        } catch (ArithmeticException _) {
            throw tooLarge();
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
