package io.ucp.formats.torch;

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

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/// A tree for people: a line a node, indented, tensors as dtype and shape. Long texts and sequences
/// are cut; an object that was printed before is named by where that was.
///
/// ```
/// dict of 2
///   'module' collections.OrderedDict of 1
///     'weight' tensor bfloat16 [12, 4]
///   'iteration' 3
/// ```
public final class TreeText {
    private static final int WIDEST = 200;

    /// One line to come, or the heading of more lines.
    private record Line(int indent, String label, PickleValue value, String path) {}

    private final StringBuilder out = new StringBuilder();
    private final IdentityHashMap<PyContainer, String> printed = new IdentityHashMap<>();
    private final Deque<Line> open = new ArrayDeque<>();

    private TreeText() {}

    /// Ends with a line feed.
    public static String of(PickleValue root) {
        TreeText text = new TreeText();
        text.open.push(new Line(0, "", root, ""));
        while (!text.open.isEmpty()) {
            text.print(text.open.pop());
        }
        return text.out.toString();
    }

    private void print(Line line) {
        out.repeat("  ", line.indent()).append(line.label());
        out.append(line.label().isEmpty() ? "" : " ");
        Optional<String> flat = flat(line.value());
        if (flat.isPresent()) {
            out.append(cut(flat.get())).append('\n');
            return;
        }
        PyContainer container = (PyContainer) line.value();
        String before = printed.putIfAbsent(container, line.path());
        if (before != null) {
            out.append("= ").append(before.isEmpty() ? "the root" : before).append('\n');
            return;
        }
        List<Line> below = below(container, line);
        out.append(heading(container)).append('\n');
        below.reversed().forEach(open::push);
    }

    /// What fits on one line.
    private static Optional<String> flat(PickleValue value) {
        Optional<TorchTensor> tensor = tensor(value);
        if (tensor.isPresent()) {
            return tensor.map(t -> "tensor " + t);
        }
        Optional<byte[]> bytes = value.asBytes();
        if (bytes.isPresent()) {
            return bytes.map(b -> "bytes of " + b.length);
        }
        return switch (value) {
            case PyContainer container -> flatContainer(container);
            case PickleValue leaf -> Optional.of(leaf(leaf));
        };
    }

    private static Optional<String> flatContainer(PyContainer container) {
        List<PickleValue> elements = container.asSequence().orElse(List.of());
        boolean plain = container.asSequence().isPresent() && changesNothing(container);
        if (!plain || elements.stream().anyMatch(PyContainer.class::isInstance)) {
            return Optional.empty();
        }
        String body =
                elements.stream()
                        .limit(WIDEST)
                        .map(TreeText::leaf)
                        .collect(Collectors.joining(", "));
        return Optional.of(
                switch (container) {
                    case PyList _ -> "[" + body + "]";
                    case PyTuple _ -> "(" + body + ")";
                    case PyDict _, PySet _, PyPersistent _, PyObject _ -> "Size(" + body + ")";
                });
    }

    private static boolean changesNothing(PyContainer container) {
        return !(container instanceof PyObject object) || object.changes().isEmpty();
    }

    private static String leaf(PickleValue value) {
        return switch (value) {
            case PyText text -> "'" + escaped(text.value()) + "'";
            case PyExtension(int code) -> "extension " + code;
            case PyNone _, PyBool _, PyInt _, PyFloat _, PyBytes _, PyGlobal _, PyContainer _ ->
                    value.toString();
        };
    }

    private static String escaped(String text) {
        StringBuilder escaped = new StringBuilder();
        text.chars()
                .limit(WIDEST)
                .forEach(
                        c -> {
                            if (Character.isISOControl(c) || Character.isSurrogate((char) c)) {
                                escaped.append("\\u%04x".formatted(c));
                            } else {
                                escaped.append((char) c);
                            }
                        });
        return escaped.toString();
    }

    private static String cut(String text) {
        return text.length() <= WIDEST ? text : text.substring(0, WIDEST) + " ..";
    }

    private static String heading(PyContainer container) {
        return switch (container) {
            case PyObject object when object.hasItems() ->
                    "%s of %d".formatted(leaf(object.callable()), object.items().size());
            case PyObject object -> leaf(object.callable());
            case PyPersistent _ -> "persistent";
            case PyDict _, PyList _, PyTuple _, PySet _ -> container.toString();
        };
    }

    private static List<Line> below(PyContainer container, Line line) {
        List<Line> lines = new ArrayList<>();
        switch (container) {
            case PyDict dict -> entries(dict, line, lines);
            case PyList list -> elements(list.elements(), line, lines);
            case PyTuple tuple -> elements(tuple.elements(), line, lines);
            case PySet set -> elements(set.elements(), line, lines);
            case PyPersistent persistent -> add("id", persistent.id(), line, lines);
            case PyObject object -> object(object, line, lines);
        }
        return lines;
    }

    private static void object(PyObject object, Line line, List<Line> lines) {
        if (!(object.callable() instanceof PyGlobal)) {
            add(".callable", object.callable(), line, lines);
        }
        if (!(object.arguments() instanceof PyTuple tuple && tuple.elements().isEmpty())) {
            add(".arguments", object.arguments(), line, lines);
        }
        object.keywords().ifPresent(keywords -> add(".keywords", keywords, line, lines));
        for (PyObject.Change change : object.changes()) {
            switch (change) {
                case PyObject.Change.ItemsSet(PyDict items) -> entries(items, line, lines);
                case PyObject.Change.Appended(PyList list) ->
                        elements(list.elements(), line, lines);
                case PyObject.Change.ElementsAdded(PyList list) ->
                        elements(list.elements(), line, lines);
                case PyObject.Change.StateSet(PyDict attributes)
                        when object.isInstanceOf("argparse", "Namespace") ->
                        entries(attributes, line, lines);
                case PyObject.Change.StateSet(PickleValue state) ->
                        add(".state", state, line, lines);
                case PyObject.Change.Called(PyObject call) -> add(".call", call, line, lines);
            }
        }
    }

    private static void entries(PyDict dict, Line line, List<Line> lines) {
        dict.entries().forEach(entry -> add(leaf(entry.key()), entry.value(), line, lines));
    }

    private static void elements(List<PickleValue> elements, Line line, List<Line> lines) {
        for (int i = 0; i < elements.size(); i++) {
            add(Integer.toString(i), elements.get(i), line, lines);
        }
    }

    private static void add(String label, PickleValue value, Line line, List<Line> lines) {
        // Deep down a path is cut in front: it must not grow with the depth.
        String path = line.path() + "/" + cut(label);
        String kept =
                path.length() <= 2 * WIDEST ? path : ".." + path.substring(path.length() - WIDEST);
        lines.add(new Line(line.indent() + 1, cut(label), value, kept));
    }

    private static Optional<TorchTensor> tensor(PickleValue value) {
        try {
            return TensorPickles.read(value);
        } catch (ArithmeticException _) {
            return Optional.empty();
        }
    }
}
