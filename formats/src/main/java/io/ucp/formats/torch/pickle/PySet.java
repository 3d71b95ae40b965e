package io.ucp.formats.torch.pickle;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// A Python `set` or `frozenset`, as protocols 4 and 5 write them; earlier ones have a [PyObject]
/// that calls `set` with a list. The elements are in the order of the file.
public final class PySet extends PyContainer {
    private final List<PickleValue> elements;
    private final boolean frozen;

    PySet(List<PickleValue> elements, boolean frozen) {
        this.elements = new ArrayList<>(elements);
        this.frozen = frozen;
    }

    public boolean isFrozen() {
        return frozen;
    }

    public List<PickleValue> elements() {
        return Collections.unmodifiableList(elements);
    }

    @Override
    public List<PickleValue> children() {
        return elements();
    }

    void add(PickleValue element) {
        elements.add(element);
    }

    @Override
    public String toString() {
        return "%s of %d".formatted(frozen ? "frozenset" : "set", elements.size());
    }
}
