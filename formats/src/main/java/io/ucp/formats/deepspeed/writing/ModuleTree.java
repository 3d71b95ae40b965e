package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.RefusedException;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchBuilder;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiFunction;
import java.util.function.Function;

/// A state dict of the model with the shards of one rank in place of the source's: the same keys in
/// the same order, nested as they are.
final class ModuleTree {
    private static final int DEEPEST = 64;

    private final String file;
    private final TorchBuilder torch;
    private final Function<String, Optional<Held>> holders;
    private final boolean keepsUnknown;
    private final boolean partitioned;
    private final BiFunction<Held, DType, DType> dtypes;
    private final Map<String, TorchTensor> made = new HashMap<>();

    /// @param file for messages
    /// @param holders full key -> what the rank holds under it, aliases included
    /// @param keepsUnknown a tensor that is no parameter's stays as it is: the model is cut as in
    ///   the source
    /// @param partitioned ZeRO-3: parameters are empty here, and cut in the optimizer's files
    /// @param dtypes what a weight of a dtype becomes
    ModuleTree(
            String file,
            TorchBuilder torch,
            Function<String, Optional<Held>> holders,
            boolean keepsUnknown,
            boolean partitioned,
            BiFunction<Held, DType, DType> dtypes) {
        this.dtypes = dtypes;
        this.file = file;
        this.torch = torch;
        this.holders = holders;
        this.keepsUnknown = keepsUnknown;
        this.partitioned = partitioned;
    }

    PickleValue of(PickleValue tree) {
        return changed("", tree, 0);
    }

    private PickleValue changed(String key, PickleValue value, int depth) {
        if (depth > DEEPEST) {
            throw new IllegalStateException("deeper than the reader allows: " + key);
        }
        Optional<TorchTensor> tensor = TensorPickles.read(value);
        if (tensor.isPresent()) {
            return leaf(key, value, tensor.get());
        }
        Optional<PyDict> inner = value.asDict();
        if (inner.isEmpty()) {
            return value;
        }
        List<PyDict.Entry> entries = new ArrayList<>();
        for (PyDict.Entry e : inner.get().entries()) {
            Optional<String> name = e.key().asText();
            String path = key.isEmpty() ? name.orElse("") : key + "." + name.orElse("");
            entries.add(
                    name.isEmpty()
                            ? e
                            : new PyDict.Entry(e.key(), changed(path, e.value(), depth + 1)));
        }
        PyDict dict = PyDict.of(entries);
        return value instanceof PyObject object ? object.withItems(dict) : dict;
    }

    private PickleValue leaf(String key, PickleValue node, TorchTensor source) {
        Optional<Held> held = holders.apply(key);
        if (held.isEmpty()) {
            if (keepsUnknown || source.shape().count() == 0) {
                return node;
            }
            throw new RefusedException(
                    "%s: %s".formatted(file, key),
                    "a tensor that is neither a parameter nor a buffer",
                    "to know how the ranks of the job hold it",
                    "name it in a spec; at the source's tp and pp it is copied as it is");
        }
        return TensorPickles.write(tensor(held.get(), dtypes.apply(held.get(), source.dtype())));
    }

    /// Two names of one parameter are one storage, as torch keeps them.
    private TorchTensor tensor(Held held, DType dtype) {
        return made.computeIfAbsent(
                held.name(),
                _ -> {
                    boolean empty = partitioned && !held.facts().buffer();
                    List<Part> parts = empty ? List.of() : held.weight(dtype).stream().toList();
                    return torch.tensor(dtype, empty ? Shape.of(0) : held.shard().shape(), parts);
                });
    }
}
