package io.ucp.formats.torch.pickle;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/// An object that Python would make by a call, and the changes it would make to it afterwards.
/// Nothing is called: the node says what would be.
public final class PyObject extends PyContainer {
    /// How the object would be made.
    public enum Making {
        /// `callable(*arguments)`.
        CALL,
        /// `callable.__new__(callable, *arguments)`.
        NEW,
        /// `callable.__new__(callable, *arguments, **keywords)`.
        NEW_WITH_KEYWORDS,
        /// Protocols 0 and 1: as `CALL`, but a class without arguments is not initialised.
        INSTANCE
    }

    /// What is done to the object once it is there, in the order of the pickle.
    public sealed interface Change {
        /// `object.extend(list)`.
        record Appended(PyList list) implements Change {}

        /// `object[key] = value` for each entry.
        record ItemsSet(PyDict items) implements Change {}

        /// `object.add(element)` for each element.
        record ElementsAdded(PyList elements) implements Change {}

        /// `object.__setstate__(state)`, or the state becomes the attributes.
        record StateSet(PickleValue state) implements Change {}

        /// A call for its effect on the object (`copyreg` reducers with a state setter).
        record Called(PyObject call) implements Change {}
    }

    private final Making making;
    private final PickleValue callable;
    private final PickleValue arguments;
    private final @Nullable PickleValue keywords;
    private final List<Change> changes;

    private PyObject(
            Making making,
            PickleValue callable,
            PickleValue arguments,
            @Nullable PickleValue keywords,
            List<Change> changes) {
        this.making = making;
        this.callable = callable;
        this.arguments = arguments;
        this.keywords = keywords;
        this.changes = new ArrayList<>(changes);
    }

    /// `callable(*arguments)`.
    public static PyObject call(PickleValue callable, PickleValue... arguments) {
        return of(Making.CALL, callable, PyTuple.of(arguments));
    }

    /// `callable.__new__(callable, *arguments)`; add its attributes by [#withState].
    public static PyObject instance(PickleValue callable, PickleValue... arguments) {
        return of(Making.NEW, callable, PyTuple.of(arguments));
    }

    /// An `OrderedDict` with these items.
    public static PyObject orderedDict(PyDict items) {
        return call(new PyGlobal("collections", "OrderedDict")).withItems(items);
    }

    /// An `argparse.Namespace` with these attributes.
    public static PyObject namespace(PyDict attributes) {
        return instance(new PyGlobal("argparse", "Namespace")).withState(attributes);
    }

    static PyObject of(Making making, PickleValue callable, PickleValue arguments) {
        return new PyObject(making, callable, arguments, null, List.of());
    }

    static PyObject withKeywords(PickleValue cls, PickleValue arguments, PickleValue keywords) {
        return new PyObject(Making.NEW_WITH_KEYWORDS, cls, arguments, keywords, List.of());
    }

    public Making making() {
        return making;
    }

    /// What would be called: nearly always a [PyGlobal].
    public PickleValue callable() {
        return callable;
    }

    /// A tuple in every pickle that loads.
    public PickleValue arguments() {
        return arguments;
    }

    public Optional<PickleValue> argument(int index) {
        return arguments instanceof PyTuple tuple && index < tuple.elements().size()
                ? Optional.of(tuple.elements().get(index))
                : Optional.empty();
    }

    public Optional<PickleValue> keywords() {
        return Optional.ofNullable(keywords);
    }

    public List<Change> changes() {
        return Collections.unmodifiableList(changes);
    }

    /// Whether this is the result of calling the named function or class.
    public boolean isCallOf(String module, String name) {
        return making == Making.CALL && isInstanceOf(module, name);
    }

    /// Whether the callable is this class or function, however the object is made of it.
    public boolean isInstanceOf(String module, String name) {
        return callable instanceof PyGlobal global && global.is(module, name);
    }

    public boolean hasItems() {
        return changes.stream().anyMatch(Change.ItemsSet.class::isInstance);
    }

    /// The items set on it (an `OrderedDict`'s entries); empty where there are none. Python 2 gave
    /// an `OrderedDict` its items as an argument, a list of pairs.
    public PyDict items() {
        List<PyDict> sets = new ArrayList<>(1);
        if (isInstanceOf("collections", "OrderedDict")) {
            argument(0).flatMap(PyObject::pairs).ifPresent(sets::add);
        }
        for (Change change : changes) {
            if (change instanceof Change.ItemsSet(PyDict items)) {
                sets.add(items);
            }
        }
        return sets.size() == 1
                ? sets.getFirst()
                : PyDict.of(sets.stream().flatMap(d -> d.entries().stream()).toList());
    }

    private static Optional<PyDict> pairs(PickleValue list) {
        PyDict dict = new PyDict();
        for (PickleValue element : list.asSequence().orElse(List.of())) {
            List<PickleValue> pair = element.asSequence().orElse(List.of());
            if (pair.size() != 2) {
                return Optional.empty();
            }
            dict.put(pair.get(0), pair.get(1));
        }
        return Optional.of(dict);
    }

    /// The state set last.
    public Optional<PickleValue> state() {
        for (Change change : changes.reversed()) {
            if (change instanceof Change.StateSet(PickleValue state)) {
                return Optional.of(state);
            }
        }
        return Optional.empty();
    }

    /// The state as named attributes: a dict, or the pair of `__dict__` and slots that Python makes
    /// of a class with slots.
    public Optional<PyDict> attributes() {
        return state().flatMap(
                        state ->
                                switch (state) {
                                    case PyDict dict -> Optional.of(dict);
                                    case PyTuple pair when pair.elements().size() == 2 ->
                                            attributesOf(pair.elements());
                                    case PickleValue _ -> Optional.<PyDict>empty();
                                });
    }

    private static Optional<PyDict> attributesOf(List<PickleValue> pair) {
        List<PyDict.Entry> all = new ArrayList<>();
        for (PickleValue half : pair) {
            if (half instanceof PyDict dict) {
                all.addAll(dict.entries());
            } else if (!half.isNone()) {
                return Optional.empty();
            }
        }
        return Optional.of(PyDict.of(all));
    }

    /// A copy whose items are these, in place of any it has.
    public PyObject withItems(PyDict items) {
        return replacing(Change.ItemsSet.class, new Change.ItemsSet(items));
    }

    /// A copy with this state, in place of any it has.
    public PyObject withState(PickleValue state) {
        return replacing(Change.StateSet.class, new Change.StateSet(state));
    }

    private PyObject replacing(Class<? extends Change> kind, Change change) {
        PyObject copy = new PyObject(making, callable, arguments, keywords, List.of());
        boolean placed = false;
        for (Change each : changes) {
            if (!kind.isInstance(each)) {
                copy.changes.add(each);
            } else if (!placed) {
                copy.changes.add(change);
                placed = true;
            }
        }
        if (!placed) {
            // Python sets items before state: a state setter may look at the items.
            copy.changes.add(change instanceof Change.ItemsSet ? 0 : copy.changes.size(), change);
        }
        return copy;
    }

    @Override
    public List<PickleValue> children() {
        if (changes.isEmpty() && keywords == null) {
            return List.of(callable, arguments);
        }
        List<PickleValue> all = new ArrayList<>();
        all.add(callable);
        all.add(arguments);
        if (keywords != null) {
            all.add(keywords);
        }
        for (Change change : changes) {
            switch (change) {
                case Change.Appended(PyList list) -> all.addAll(list.elements());
                case Change.ElementsAdded(PyList elements) -> all.addAll(elements.elements());
                case Change.ItemsSet(PyDict items) -> all.addAll(items.children());
                case Change.StateSet(PickleValue state) -> all.add(state);
                case Change.Called(PyObject call) -> all.add(call);
            }
        }
        return all;
    }

    void append(PickleValue element) {
        if (!changes.isEmpty() && changes.getLast() instanceof Change.Appended(PyList list)) {
            list.add(element);
        } else {
            changes.add(new Change.Appended(PyList.of(element)));
        }
    }

    void addElement(PickleValue element) {
        if (!changes.isEmpty() && changes.getLast() instanceof Change.ElementsAdded(PyList list)) {
            list.add(element);
        } else {
            changes.add(new Change.ElementsAdded(PyList.of(element)));
        }
    }

    void put(PickleValue key, PickleValue value) {
        if (!changes.isEmpty() && changes.getLast() instanceof Change.ItemsSet(PyDict items)) {
            items.put(key, value);
        } else {
            PyDict items = new PyDict();
            items.put(key, value);
            changes.add(new Change.ItemsSet(items));
        }
    }

    void change(Change change) {
        changes.add(change);
    }

    @Override
    public String toString() {
        return callable + "(..)";
    }
}
