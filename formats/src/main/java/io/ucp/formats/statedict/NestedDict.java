package io.ucp.formats.statedict;

import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.ElementSearch;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchContents;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.io.MalformedFileException;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// The tensors of a dict, and of dicts in it, by their joined keys.
///
/// A tensor of a kind that is not read is refused: a model without one of its parameters is none.
final class NestedDict {
    private static final int DEEPEST = 64;

    private final TorchContents contents;
    private final Map<String, TensorEntry> tensors = new LinkedHashMap<>();
    private final List<String> unread = new ArrayList<>();
    private final ElementSearch search = new ElementSearch();

    private NestedDict(TorchContents contents) {
        this.contents = contents;
    }

    /// @throws MalformedFileException where two tensors have one name, or where one is of a kind
    ///   that is not read
    static NestedDict of(TorchContents contents, PyDict dict) throws MalformedFileException {
        NestedDict nested = new NestedDict(contents);
        nested.find(dict, "", 1);
        return nested;
    }

    Map<String, TensorEntry> tensors() {
        return tensors;
    }

    /// What holds tensors and is none itself, one line each.
    List<String> unread() {
        return List.copyOf(unread);
    }

    private void find(PyDict dict, String prefix, int depth) throws MalformedFileException {
        for (PyDict.Entry entry : dict.entries()) {
            Optional<String> key = entry.key().asText();
            String name = prefix + key.orElse(entry.key().toString());
            Optional<PyDict> inner = entry.value().asDict();
            Optional<TensorEntry> tensor = contents.tensor(entry.value());
            if (tensor.isPresent() && key.isPresent()) {
                if (tensors.put(name, tensor.get()) != null) {
                    throw contents.malformed(
                            "two tensors of the name '%s'".formatted(name),
                            "each tensor once",
                            "load the file with torch and save them under different names");
                }
            } else if (TensorPickles.opaque(entry.value()).isPresent()) {
                throw contents.malformed(
                        "'%s' is a tensor of a kind that is not read (%s)"
                                .formatted(name, TensorPickles.opaque(entry.value()).get()),
                        "dense tensors that hold their values",
                        "load the file with torch and save what .to_dense(), .dequantize(),"
                                + " .resolve_conj() or .resolve_neg() makes of it");
            } else if (inner.isPresent() && key.isPresent() && depth < DEEPEST) {
                search.enter(contents.file().path(), name, entry.value());
                find(inner.get(), name + ".", depth + 1);
            } else if (search.finds(entry.value())) {
                unread.add(
                        "'%s' holds tensors that are not read as parameters: %s"
                                .formatted(name, entry.value()));
            }
        }
    }
}
