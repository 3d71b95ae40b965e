package io.ucp.formats.torch.pickle;

import org.jspecify.annotations.Nullable;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/// A container half written: hands out its children one at a time, and writes the opcodes between
/// them.
abstract sealed class PickleFrame {
    /// The next child to write, or null where the container is finished.
    abstract @Nullable PickleValue advance(PickleWriter out);

    /// Writes what opens the container.
    static PickleFrame of(PyContainer container, PickleWriter out) {
        return switch (container) {
            case PyTuple tuple -> new Tuple(tuple, out);
            case PyList list -> {
                out.op(']');
                out.memoize(list);
                yield new Batches(Batches.Style.LIST, list.elements());
            }
            case PyDict dict -> {
                out.op('}');
                out.memoize(dict);
                yield new Batches(Batches.Style.DICT, dict.children());
            }
            case PyPersistent persistent ->
                    new Steps(new Step.Save(persistent.id()), new Step.Op('Q'));
            case PyObject object -> Steps.of(object);
            case PySet set -> throw new AssertionError(set + " is not a protocol 2 value");
        };
    }

    /// A tuple gets its opcode after its elements; where they lead back to it, it is there already.
    private static final class Tuple extends PickleFrame {
        private final PyTuple tuple;
        private final int size;
        private int next;

        Tuple(PyTuple tuple, PickleWriter out) {
            this.tuple = tuple;
            this.size = tuple.elements().size();
            if (size > 3) {
                out.op('(');
            }
        }

        @Override
        @Nullable PickleValue advance(PickleWriter out) {
            if (next < size) {
                return tuple.elements().get(next++);
            }
            if (out.isKnown(tuple)) {
                if (size > 3) {
                    out.op('1');
                } else {
                    tuple.elements().forEach(_ -> out.op('0'));
                }
                out.recall(tuple);
            } else {
                out.op(size > 3 ? 't' : 0x84 + size);
                out.memoize(tuple);
            }
            return null;
        }
    }

    /// Elements or items, in batches of [PickleWriter#BATCH].
    private static final class Batches extends PickleFrame {
        /// Who is filled: an exact list or dict, or an object through its methods. CPython treats a
        /// last batch of one item, and a full last batch, differently for each.
        enum Style {
            LIST(1, 'a', 'e'),
            DICT(2, 's', 'u'),
            OBJECT_AS_LIST(1, 'a', 'e'),
            OBJECT_AS_DICT(2, 's', 'u'),
            OBJECT_AS_SET(1, 0, 0x90);

            final int width;
            final int one;
            final int many;

            Style(int width, int one, int many) {
                this.width = width;
                this.one = one;
                this.many = many;
            }

            boolean writesAlone(int batch, int total) {
                return switch (this) {
                    case LIST, DICT -> total == 1;
                    case OBJECT_AS_LIST, OBJECT_AS_DICT -> batch == 1;
                    case OBJECT_AS_SET -> false;
                };
            }
        }

        private final Style style;
        private final List<PickleValue> children;
        private final int total;
        private int next;
        private int leftInBatch;
        private int closing;

        Batches(Style style, List<PickleValue> children) {
            this.style = style;
            this.children = children;
            this.total = children.size() / style.width;
        }

        @Override
        @Nullable PickleValue advance(PickleWriter out) {
            if (leftInBatch == 0) {
                if (closing != 0) {
                    out.op(closing);
                    closing = 0;
                }
                if (next == children.size()) {
                    emptyBatch(out);
                    return null;
                }
                open(out);
            }
            leftInBatch--;
            return children.get(next++);
        }

        private void open(PickleWriter out) {
            int batch = Math.min(PickleWriter.BATCH, total - next / style.width);
            boolean alone = style.writesAlone(batch, total);
            if (!alone) {
                out.op('(');
            }
            closing = alone ? style.one : style.many;
            leftInBatch = batch * style.width;
        }

        /// CPython looks for more items after each full batch of an exact dict, and finds none.
        private void emptyBatch(PickleWriter out) {
            if (style == Style.DICT && total > 0 && total % PickleWriter.BATCH == 0) {
                out.op('(');
                out.op(style.many);
            }
        }
    }

    /// One thing to do for an object.
    private sealed interface Step {
        record Op(int code) implements Step {}

        record Save(PickleValue value) implements Step {}

        record Fill(Batches batches) implements Step {}

        /// The object is on the stack now.
        record Made(PyObject object) implements Step {}
    }

    private static final class Steps extends PickleFrame {
        private final Deque<Step> steps;

        Steps(Step... steps) {
            this.steps = new ArrayDeque<>(List.of(steps));
        }

        static Steps of(PyObject object) {
            List<Step> steps = new ArrayList<>();
            make(object, steps);
            steps.add(new Step.Made(object));
            for (PyObject.Change change : object.changes()) {
                change(change, steps);
            }
            return new Steps(steps.toArray(Step[]::new));
        }

        private static void make(PyObject object, List<Step> steps) {
            if (object.making() == PyObject.Making.INSTANCE) {
                steps.add(new Step.Op('('));
                steps.add(new Step.Save(object.callable()));
                if (object.arguments() instanceof PyTuple tuple) {
                    tuple.elements().forEach(e -> steps.add(new Step.Save(e)));
                }
            } else {
                steps.add(new Step.Save(object.callable()));
                steps.add(new Step.Save(object.arguments()));
                object.keywords().ifPresent(k -> steps.add(new Step.Save(k)));
            }
            steps.add(
                    new Step.Op(
                            switch (object.making()) {
                                case CALL -> 'R';
                                case NEW -> 0x81;
                                case NEW_WITH_KEYWORDS -> 0x92;
                                case INSTANCE -> 'o';
                            }));
        }

        private static void change(PyObject.Change change, List<Step> steps) {
            switch (change) {
                case PyObject.Change.Appended(PyList list) ->
                        steps.add(fill(Batches.Style.OBJECT_AS_LIST, list.elements()));
                case PyObject.Change.ElementsAdded(PyList list) ->
                        steps.add(fill(Batches.Style.OBJECT_AS_SET, list.elements()));
                case PyObject.Change.ItemsSet(PyDict items) ->
                        steps.add(fill(Batches.Style.OBJECT_AS_DICT, items.children()));
                case PyObject.Change.StateSet(PickleValue state) -> {
                    steps.add(new Step.Save(state));
                    steps.add(new Step.Op('b'));
                }
                case PyObject.Change.Called(PyObject call) -> {
                    steps.add(new Step.Save(call));
                    steps.add(new Step.Op('0'));
                }
            }
        }

        private static Step fill(Batches.Style style, List<PickleValue> children) {
            return new Step.Fill(new Batches(style, children));
        }

        @Override
        @Nullable PickleValue advance(PickleWriter out) {
            while (!steps.isEmpty()) {
                switch (steps.element()) {
                    case Step.Op(int code) -> out.op(code);
                    case Step.Save(PickleValue value) -> {
                        steps.remove();
                        return value;
                    }
                    case Step.Fill(Batches batches) -> {
                        PickleValue child = batches.advance(out);
                        if (child != null) {
                            return child;
                        }
                    }
                    case Step.Made(PyObject object) when out.isKnown(object) -> {
                        // Its arguments lead back to it and have written it already.
                        out.op('0');
                        out.recall(object);
                        steps.clear();
                        return null;
                    }
                    case Step.Made(PyObject object) -> out.memoize(object);
                }
                steps.remove();
            }
            return null;
        }
    }
}
