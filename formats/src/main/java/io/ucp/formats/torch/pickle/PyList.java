package io.ucp.formats.torch.pickle;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// A Python `list`.
public final class PyList extends PyContainer {
    private final List<PickleValue> elements;

    PyList() {
        this.elements = new ArrayList<>(0);
    }

    private PyList(List<PickleValue> elements) {
        this.elements = elements;
    }

    public static PyList of(PickleValue... elements) {
        return of(List.of(elements));
    }

    public static PyList of(List<? extends PickleValue> elements) {
        return new PyList(new ArrayList<>(elements));
    }

    public List<PickleValue> elements() {
        return Collections.unmodifiableList(elements);
    }

    @Override
    public List<PickleValue> children() {
        return elements();
    }

    /// For the reader alone: a list can hold itself, so it is there before its elements.
    void add(PickleValue element) {
        elements.add(element);
    }

    @Override
    public String toString() {
        return "list of " + elements.size();
    }
}
