package io.ucp.formats.torch.pickle;

import java.util.List;

/// An object that refers to others. Two containers are equal where they are one object; for equal
/// contents see [PickleGraph#same].
public abstract sealed class PyContainer implements PickleValue
        permits PyTuple, PyList, PyDict, PySet, PyObject, PyPersistent {

    /// Longest way down to a leaf, while a reader measures it: 0 not visited, -1 being visited.
    int height;

    /// Everything this refers to, in the order a pickle holds it.
    public abstract List<PickleValue> children();
}
