package io.ucp.formats.torch.pickle;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Predicate;

/// Walks over a tree that may share nodes and hold cycles: every node once, without recursion.
public final class PickleGraph {
    private PickleGraph() {}

    /// A container whose children are being visited.
    private static final class Visit {
        final PyContainer container;
        final List<PickleValue> children;
        int next;
        int height = 1;

        Visit(PyContainer container) {
            this.container = container;
            this.children = container.children();
        }
    }

    /// Every container that can be reached, once each, parents before children, in the order of the
    /// pickle.
    public static void forEach(PickleValue root, Consumer<PyContainer> action) {
        walk(
                root,
                container -> {
                    action.accept(container);
                    return true;
                });
    }

    /// As [#forEach], but goes on below a container only where `visit` says so.
    public static void walk(PickleValue root, Predicate<PyContainer> visit) {
        IdentityHashMap<PyContainer, Boolean> seen = new IdentityHashMap<>();
        Deque<Visit> path = new ArrayDeque<>();
        enter(root, seen, path, visit);
        while (!path.isEmpty()) {
            Visit top = path.element();
            if (top.next == top.children.size()) {
                path.pop();
            } else {
                enter(top.children.get(top.next++), seen, path, visit);
            }
        }
    }

    private static void enter(
            PickleValue value,
            IdentityHashMap<PyContainer, Boolean> seen,
            Deque<Visit> path,
            Predicate<PyContainer> visit) {
        if (value instanceof PyContainer container
                && seen.put(container, true) == null
                && visit.test(container)) {
            path.push(new Visit(container));
        }
    }

    /// Levels of containers on the longest way down; a way ends where it would close a cycle. Stops
    /// counting past `limit`. For the reader alone: it marks the nodes.
    static int depth(PickleValue root, int limit) {
        if (!(root instanceof PyContainer container)) {
            return 0;
        }
        Deque<Visit> path = new ArrayDeque<>();
        container.height = -1;
        path.push(new Visit(container));
        while (true) {
            Visit visit = path.element();
            if (path.size() > limit || visit.height > limit) {
                return limit + 1;
            }
            if (visit.next < visit.children.size()) {
                if (visit.children.get(visit.next++) instanceof PyContainer child) {
                    if (child.height == 0) {
                        child.height = -1;
                        path.push(new Visit(child));
                    } else {
                        visit.height = Math.max(visit.height, child.height + 1);
                    }
                }
                continue;
            }
            path.pop();
            visit.container.height = visit.height;
            if (path.isEmpty()) {
                return visit.height;
            }
            Visit parent = path.element();
            parent.height = Math.max(parent.height, visit.height + 1);
        }
    }

    /// Two values to compare.
    private record Pair(PickleValue a, PickleValue b) {}

    /// Whether two trees describe equal objects: the same kinds, values and order, and the same
    /// sharing. `bytes` of protocol 3 and later equal their protocol 2 form, and sets theirs; so do
    /// `builtins` and `__builtin__`.
    public static boolean same(PickleValue a, PickleValue b) {
        PickleLowering lowering = new PickleLowering();
        IdentityHashMap<PyContainer, PyContainer> partners = new IdentityHashMap<>();
        IdentityHashMap<PyContainer, PyContainer> backwards = new IdentityHashMap<>();
        Deque<Pair> open = new ArrayDeque<>();
        open.push(new Pair(a, b));
        while (!open.isEmpty()) {
            Pair pair = open.pop();
            PickleValue left = lowering.lower(pair.a());
            PickleValue right = lowering.lower(pair.b());
            if (!(left instanceof PyContainer x) || !(right instanceof PyContainer y)) {
                if (!sameLeaf(left, right)) {
                    return false;
                }
                continue;
            }
            PyContainer known = partners.putIfAbsent(x, y);
            PyContainer knownBack = backwards.putIfAbsent(y, x);
            boolean fresh = known == null && knownBack == null;
            if (fresh ? !sameNode(x, y) : known != y || knownBack != x) {
                return false;
            }
            if (fresh) {
                List<PickleValue> xs = x.children();
                List<PickleValue> ys = y.children();
                for (int i = 0; i < xs.size(); i++) {
                    open.push(new Pair(xs.get(i), ys.get(i)));
                }
            }
        }
        return true;
    }

    private static boolean sameLeaf(PickleValue x, PickleValue y) {
        return (x instanceof PyGlobal g && y instanceof PyGlobal h)
                ? g.is(h.module(), h.name())
                : x.equals(y);
    }

    private static boolean sameNode(PyContainer x, PyContainer y) {
        if (x.getClass() != y.getClass() || x.children().size() != y.children().size()) {
            return false;
        }
        if (x instanceof PyObject o && y instanceof PyObject p) {
            return o.making() == p.making() && changes(o).equals(changes(p));
        }
        return !(x instanceof PySet s && y instanceof PySet t) || s.isFrozen() == t.isFrozen();
    }

    /// Kinds and sizes of an object's changes, so that equal children mean equal changes.
    private static List<String> changes(PyObject object) {
        return object.changes().stream()
                .map(
                        change ->
                                switch (change) {
                                    case PyObject.Change.Appended(PyList list) ->
                                            "append " + list.elements().size();
                                    case PyObject.Change.ElementsAdded(PyList list) ->
                                            "add " + list.elements().size();
                                    case PyObject.Change.ItemsSet(PyDict items) ->
                                            "set " + items.size();
                                    case PyObject.Change.StateSet _ -> "state";
                                    case PyObject.Change.Called _ -> "called";
                                })
                .toList();
    }
}
