package io.ucp.formats.torch;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.StreamWriteConstraints;

import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.formats.torch.pickle.PickleReader;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyBytes;
import io.ucp.formats.torch.pickle.PyContainer;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyExtension;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyPersistent;
import io.ucp.formats.torch.pickle.PySet;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;

import java.io.IOException;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// A tree as JSON: complete, and readable where Python and JSON agree.
///
/// | Python | JSON |
/// |---|---|
/// | `None`, `bool`, `str`, `list`, finite `float` | the same |
/// | `int` | a number up to 2^53, else `{"$int": "9223372036854775807"}` |
/// | `nan`, `inf`, `-inf` | `{"$float": "nan"}`, a NaN with other bits `"nan:7ff8000000000001"` |
/// | `dict` with texts as keys, none of which begins with `$` | an object |
/// | any other `dict` | `{"$dict": [[key, value], ..]}` |
/// | `tuple`, `set`, `frozenset` | `{"$tuple": [..]}`, `{"$set": [..]}`, `{"$frozenset": [..]}` |
/// | `bytes`, `bytearray` | `{"$bytes": base64}`, `{"$bytearray": base64}` |
/// | a class or function | `{"$global": [module, name]}` |
/// | a tensor | `{"$tensor": dtype, "shape": [..], "stride": [..], "storage": key, "offset": n}` |
/// | an object of any class | `{"$call": callable, "args": [..], ..}`, or `$new`, `$instance` |
/// | an object kept outside | `{"$persistent": id}` |
/// | a `copyreg` extension | `{"$extension": code}` |
/// | an object that is referred to again | `{"$id": n, "value": ..}`, then `{"$ref": n}` |
///
/// The callable is `module:name`. What is done to an object after it is made follows in order, as
/// `changes`: a list of `{"items": [[key, value], ..]}` or `{"items": {..}}`, `{"append": [..]}`,
/// `{"add": [..]}`, `{"state": ..}`, `{"call": ..}`. A text that is no Unicode (a lone surrogate)
/// is `{"$text": [UTF-16 units]}`.
public final class TreeJson {
    private static final long SAFE = 1L << 53;

    private final JsonGenerator json;
    private final IdentityHashMap<PyContainer, Integer> uses = new IdentityHashMap<>();
    private final IdentityHashMap<PyContainer, Integer> ids = new IdentityHashMap<>();
    private int depth;

    private TreeJson(JsonGenerator json) {
        this.json = json;
    }

    /// A factory whose generators allow the depth that a tree may have.
    public static JsonFactory factory() {
        return JsonFactory.builder()
                .streamWriteConstraints(
                        StreamWriteConstraints.builder()
                                .maxNestingDepth(16 * PickleReader.DEEPEST)
                                .build())
                .build();
    }

    /// Writes one value.
    ///
    /// @throws IllegalArgumentException for a tree much deeper than a reader lets through
    public static void write(JsonGenerator json, PickleValue root) throws IOException {
        TreeJson writer = new TreeJson(json);
        if (root instanceof PyContainer container) {
            writer.uses.merge(container, 1, Integer::sum);
        }
        PickleGraph.forEach(
                root,
                container -> {
                    for (PickleValue child : container.children()) {
                        if (child instanceof PyContainer c) {
                            writer.uses.merge(c, 1, Integer::sum);
                        }
                    }
                });
        writer.value(root);
    }

    private void value(PickleValue value) throws IOException {
        if (++depth > 2 * PickleReader.DEEPEST) {
            throw new IllegalArgumentException("a tree more than %d deep".formatted(depth));
        }
        switch (value) {
            case PyNone _ -> json.writeNull();
            case PyBool(boolean b) -> json.writeBoolean(b);
            case PyInt i -> integer(i);
            case PyFloat(double d) -> real(d);
            case PyText text -> text(text.value());
            case PyBytes bytes -> bytes(bytes);
            case PyGlobal global -> global(global);
            case PyExtension(int code) -> {
                json.writeStartObject();
                json.writeNumberField("$extension", code);
                json.writeEndObject();
            }
            case PyContainer container -> shared(container);
        }
        depth--;
    }

    private void integer(PyInt i) throws IOException {
        long small = i.asLong().orElse(Long.MAX_VALUE);
        if (small >= -SAFE && small <= SAFE) {
            json.writeNumber(small);
        } else {
            tagged("$int", i.toString());
        }
    }

    private void real(double d) throws IOException {
        long bits = Double.doubleToRawLongBits(d);
        if (Double.isFinite(d)) {
            json.writeNumber(d);
        } else if (Double.isInfinite(d)) {
            tagged("$float", d > 0 ? "inf" : "-inf");
        } else {
            boolean usual = bits == Double.doubleToLongBits(Double.NaN);
            tagged("$float", usual ? "nan" : "nan:%016x".formatted(bits));
        }
    }

    private void tagged(String tag, String value) throws IOException {
        json.writeStartObject();
        json.writeStringField(tag, value);
        json.writeEndObject();
    }

    private static boolean isUnicode(String text) {
        return text.codePoints().noneMatch(c -> c >= 0xd800 && c <= 0xdfff);
    }

    private void text(String text) throws IOException {
        if (isUnicode(text)) {
            json.writeString(text);
            return;
        }
        json.writeStartObject();
        json.writeArrayFieldStart("$text");
        for (int i = 0; i < text.length(); i++) {
            json.writeNumber((int) text.charAt(i));
        }
        json.writeEndArray();
        json.writeEndObject();
    }

    private void bytes(PyBytes bytes) throws IOException {
        json.writeStartObject();
        json.writeBinaryField(bytes.isByteArray() ? "$bytearray" : "$bytes", bytes.toArray());
        json.writeEndObject();
    }

    private void global(PyGlobal global) throws IOException {
        json.writeStartObject();
        json.writeArrayFieldStart("$global");
        json.writeString(global.module());
        json.writeString(global.name());
        json.writeEndArray();
        json.writeEndObject();
    }

    /// Names an object that is referred to more than once, and writes it only the first time.
    private void shared(PyContainer container) throws IOException {
        if (!isShared(container)) {
            container(container);
            return;
        }
        Integer known = ids.get(container);
        json.writeStartObject();
        if (known != null) {
            json.writeNumberField("$ref", known);
        } else {
            ids.put(container, ids.size());
            json.writeNumberField("$id", ids.size() - 1);
            json.writeFieldName("value");
            container(container);
        }
        json.writeEndObject();
    }

    /// There is one empty tuple, so its sharing says nothing.
    private boolean isShared(PyContainer container) {
        boolean empty = container instanceof PyTuple tuple && tuple.elements().isEmpty();
        return !empty && uses.getOrDefault(container, 1) > 1;
    }

    private void container(PyContainer container) throws IOException {
        switch (container) {
            case PyList list -> array(list.elements());
            case PyTuple tuple -> tagged("$tuple", tuple.elements());
            case PySet set -> tagged(set.isFrozen() ? "$frozenset" : "$set", set.elements());
            case PyDict dict -> dict(dict);
            case PyPersistent persistent -> {
                json.writeStartObject();
                json.writeFieldName("$persistent");
                value(persistent.id());
                json.writeEndObject();
            }
            case PyObject object -> object(object);
        }
    }

    private void array(List<PickleValue> elements) throws IOException {
        json.writeStartArray();
        for (PickleValue element : elements) {
            value(element);
        }
        json.writeEndArray();
    }

    private void tagged(String tag, List<PickleValue> elements) throws IOException {
        json.writeStartObject();
        json.writeFieldName(tag);
        array(elements);
        json.writeEndObject();
    }

    private void dict(PyDict dict) throws IOException {
        if (isPlain(dict)) {
            plain(dict);
        } else {
            json.writeStartObject();
            json.writeFieldName("$dict");
            pairs(dict);
            json.writeEndObject();
        }
    }

    private static boolean isPlain(PyDict dict) {
        return dict.entries().stream()
                .map(entry -> entry.key().asText())
                .allMatch(key -> key.filter(k -> !k.startsWith("$") && isUnicode(k)).isPresent());
    }

    private void plain(PyDict dict) throws IOException {
        json.writeStartObject();
        for (PyDict.Entry entry : dict.entries()) {
            json.writeFieldName(entry.key().asText().orElseThrow());
            value(entry.value());
        }
        json.writeEndObject();
    }

    private void pairs(PyDict dict) throws IOException {
        json.writeStartArray();
        for (PyDict.Entry entry : dict.entries()) {
            json.writeStartArray();
            value(entry.key());
            value(entry.value());
            json.writeEndArray();
        }
        json.writeEndArray();
    }

    private void object(PyObject object) throws IOException {
        Optional<byte[]> bytes = object.asBytes();
        Optional<TorchTensor> tensor =
                TensorPickles.isPlain(object) ? TensorPickles.read(object) : Optional.empty();
        if (bytes.isPresent()) {
            bytes(PyBytes.of(bytes.get()));
        } else if (tensor.isPresent()) {
            tensor(tensor.get());
        } else {
            call(object);
        }
    }

    private void tensor(TorchTensor tensor) throws IOException {
        json.writeStartObject();
        json.writeStringField("$tensor", tensor.dtype().torchName());
        numbers("shape", tensor.shape().dims());
        numbers("stride", tensor.strides());
        json.writeStringField("storage", tensor.storageKey());
        json.writeNumberField("offset", tensor.storageOffset());
        json.writeNumberField("storage_size", tensor.storageSize());
        if (!tensor.location().equals("cpu")) {
            json.writeStringField("location", tensor.location());
        }
        if (tensor.requiresGrad()) {
            json.writeBooleanField("requires_grad", true);
        }
        json.writeEndObject();
    }

    private void numbers(String name, long[] numbers) throws IOException {
        json.writeFieldName(name);
        json.writeArray(numbers, 0, numbers.length);
    }

    private static final Map<PyObject.Making, String> TAGS =
            Map.of(
                    PyObject.Making.CALL, "$call",
                    PyObject.Making.NEW, "$new",
                    PyObject.Making.NEW_WITH_KEYWORDS, "$new",
                    PyObject.Making.INSTANCE, "$instance");

    private void call(PyObject object) throws IOException {
        json.writeStartObject();
        json.writeFieldName(TAGS.get(object.making()));
        if (object.callable() instanceof PyGlobal(String module, String name)
                && module.indexOf(':') < 0) {
            json.writeString(module + ":" + name);
        } else {
            value(object.callable());
        }
        json.writeFieldName("args");
        if (object.arguments() instanceof PyTuple tuple && !isShared(tuple)) {
            array(tuple.elements());
        } else {
            value(object.arguments());
        }
        if (object.keywords().isPresent()) {
            json.writeFieldName("keywords");
            value(object.keywords().get());
        }
        if (!object.changes().isEmpty()) {
            json.writeArrayFieldStart("changes");
            for (PyObject.Change change : object.changes()) {
                change(change);
            }
            json.writeEndArray();
        }
        json.writeEndObject();
    }

    private void change(PyObject.Change change) throws IOException {
        json.writeStartObject();
        switch (change) {
            case PyObject.Change.Appended(PyList list) -> {
                json.writeFieldName("append");
                array(list.elements());
            }
            case PyObject.Change.ElementsAdded(PyList list) -> {
                json.writeFieldName("add");
                array(list.elements());
            }
            case PyObject.Change.ItemsSet(PyDict items) -> {
                json.writeFieldName("items");
                if (isPlain(items)) {
                    plain(items);
                } else {
                    pairs(items);
                }
            }
            case PyObject.Change.StateSet(PickleValue state) -> {
                json.writeFieldName("state");
                value(state);
            }
            case PyObject.Change.Called(PyObject call) -> {
                json.writeFieldName("call");
                value(call);
            }
        }
        json.writeEndObject();
    }
}
