package io.ucp.formats.torch.pickle;

import java.nio.charset.StandardCharsets;
import java.util.IdentityHashMap;

/// What protocol 2 has no opcode for, in the form CPython gives it there: `bytes` as
/// `_codecs.encode(text, 'latin1')`, sets as `set(list)`. One node in, always the same node out.
final class PickleLowering {
    private static final PyGlobal BYTES = new PyGlobal("__builtin__", "bytes");
    private static final PyGlobal BYTEARRAY = new PyGlobal("__builtin__", "bytearray");
    private static final PyGlobal ENCODE = new PyGlobal("_codecs", "encode");
    private static final PyText LATIN1 = PyText.of("latin1");
    private static final PyGlobal SET = new PyGlobal("__builtin__", "set");
    private static final PyGlobal FROZENSET = new PyGlobal("__builtin__", "frozenset");
    private static final PyGlobal GETATTR = new PyGlobal("__builtin__", "getattr");

    private final IdentityHashMap<PickleValue, PyObject> lowered = new IdentityHashMap<>();

    /// The value itself where protocol 2 can hold it.
    PickleValue lower(PickleValue value) {
        return switch (value) {
            case PyBytes bytes -> lowered.computeIfAbsent(bytes, _ -> bytes(bytes));
            case PySet set ->
                    lowered.computeIfAbsent(
                            set,
                            _ ->
                                    PyObject.call(
                                            set.isFrozen() ? FROZENSET : SET,
                                            PyList.of(set.elements())));
            case PyGlobal global when global.name().indexOf('.') > 0 ->
                    lowered.computeIfAbsent(global, _ -> nested(global));
            case PickleValue other -> other;
        };
    }

    private static PyObject bytes(PyBytes bytes) {
        if (bytes.size() == 0) {
            return PyObject.call(bytes.isByteArray() ? BYTEARRAY : BYTES);
        }
        PyText text = PyText.of(new String(bytes.toArray(), StandardCharsets.ISO_8859_1));
        PyObject encoded = PyObject.call(ENCODE, text, LATIN1);
        return bytes.isByteArray() ? PyObject.call(BYTEARRAY, encoded) : encoded;
    }

    /// A nested class is an attribute of the outer one; before protocol 4 a global has no dots.
    private static PyObject nested(PyGlobal global) {
        int dot = global.name().lastIndexOf('.');
        PyGlobal outer = new PyGlobal(global.module(), global.name().substring(0, dot));
        return PyObject.call(GETATTR, outer, PyText.of(global.name().substring(dot + 1)));
    }
}
