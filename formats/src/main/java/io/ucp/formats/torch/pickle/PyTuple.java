package io.ucp.formats.torch.pickle;

import java.util.List;

/// A Python `tuple`.
public final class PyTuple extends PyContainer {
    static final PyTuple EMPTY = new PyTuple(List.of());

    private final List<PickleValue> elements;

    private PyTuple(List<PickleValue> elements) {
        this.elements = elements;
    }

    public static PyTuple of(PickleValue... elements) {
        return of(List.of(elements));
    }

    public static PyTuple of(List<? extends PickleValue> elements) {
        return elements.isEmpty() ? EMPTY : new PyTuple(List.copyOf(elements));
    }

    public List<PickleValue> elements() {
        return elements;
    }

    @Override
    public List<PickleValue> children() {
        return elements;
    }

    @Override
    public String toString() {
        return "tuple of " + elements.size();
    }
}
