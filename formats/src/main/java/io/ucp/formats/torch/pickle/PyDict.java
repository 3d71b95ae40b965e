package io.ucp.formats.torch.pickle;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// A Python `dict`: entries in insertion order, keys of any kind.
///
/// Keys are equal as in Python (`1`, `1.0` and `True` are one key) for scalars, texts, short bytes
/// and short tuples of these; other keys are equal where they are one object. Setting a key again
/// keeps its place.
public final class PyDict extends PyContainer {
    /// Longer keys are compared by identity: hashing them again and again would cost more than the
    /// file that holds them.
    private static final int LONGEST_KEY = 64;

    private static final Map<Object, Entry> NONE = Map.of();

    /// Made with the first entry: a pickle takes one byte for an empty dict.
    private Map<Object, Entry> entries;

    /// One key with its value.
    public record Entry(PickleValue key, PickleValue value) {}

    PyDict() {
        this.entries = NONE;
    }

    private PyDict(Map<Object, Entry> entries) {
        this.entries = new LinkedHashMap<>(entries);
    }

    /// A dict with texts as keys, in the order of `entries`.
    public static PyDict of(Map<String, ? extends PickleValue> entries) {
        PyDict dict = new PyDict();
        entries.forEach((key, value) -> dict.put(PyText.of(key), value));
        return dict;
    }

    public static PyDict of(List<Entry> entries) {
        PyDict dict = new PyDict();
        entries.forEach(e -> dict.put(e.key(), e.value()));
        return dict;
    }

    public static PyDict empty() {
        return new PyDict();
    }

    public int size() {
        return entries.size();
    }

    public List<Entry> entries() {
        return List.copyOf(entries.values());
    }

    public Optional<PickleValue> find(String key) {
        return Optional.ofNullable(entries.get(key)).map(Entry::value);
    }

    public Optional<PickleValue> find(long key) {
        return Optional.ofNullable(entries.get(key)).map(Entry::value);
    }

    public Optional<PickleValue> find(PickleValue key) {
        return Optional.ofNullable(entries.get(identityOf(key))).map(Entry::value);
    }

    public boolean has(String key) {
        return entries.containsKey(key);
    }

    /// A copy with this entry set; the values are shared.
    public PyDict with(String key, PickleValue value) {
        return with(PyText.of(key), value);
    }

    public PyDict with(PickleValue key, PickleValue value) {
        PyDict copy = new PyDict(entries);
        copy.put(key, value);
        return copy;
    }

    /// A copy that lacks this key, or an equal copy where it is not there.
    public PyDict without(String key) {
        PyDict copy = new PyDict(entries);
        copy.entries.remove(key);
        return copy;
    }

    /// Keys and values in turn.
    @Override
    public List<PickleValue> children() {
        List<Entry> all = new ArrayList<>(entries.values());
        return new AbstractList<>() {
            @Override
            public PickleValue get(int index) {
                Entry entry = all.get(index >> 1);
                return (index & 1) == 0 ? entry.key() : entry.value();
            }

            @Override
            public int size() {
                return 2 * all.size();
            }
        };
    }

    void put(PickleValue key, PickleValue value) {
        if (entries.isEmpty()) {
            entries = new LinkedHashMap<>();
        }
        entries.merge(
                identityOf(key),
                new Entry(key, value),
                (before, now) -> new Entry(before.key(), now.value()));
    }

    private static Object identityOf(PickleValue key) {
        return switch (key) {
            case PyTuple tuple when tuple.elements().size() <= LONGEST_KEY ->
                    Coded.of(tuple.elements().stream().map(PyDict::scalarIdentity).toList());
            case PickleValue _ -> scalarIdentity(key);
        };
    }

    private static Object scalarIdentity(PickleValue key) {
        return switch (key) {
            case PyText text -> text.value();
            case PyInt i -> integerIdentity(i.value(), i);
            case PyBool(boolean value) -> value ? 1L : 0L;
            case PyFloat(double value) when value == (long) value -> (long) value;
            case PyFloat(double value) -> value;
            case PyBytes b when b.size() <= LONGEST_KEY && !b.isByteArray() ->
                    new Coded(new String(b.toArray(), StandardCharsets.ISO_8859_1));
            case PyGlobal(String module, String name) -> new Coded(module + '\n' + name + 'g');
            case PyBytes b -> new Same(b);
            case PyNone _, PyExtension _, PyContainer _ -> key;
        };
    }

    private static Object integerIdentity(BigInteger value, PyInt node) {
        if (value.bitLength() < Long.SIZE) {
            return value.longValue();
        }
        return value.bitLength() <= 8 * LONGEST_KEY ? value : new Same(node);
    }

    /// A key that has an order: whoever makes many keys with one hash makes a map of keys without
    /// an order as slow as a list.
    private record Coded(String text) implements Comparable<Coded> {
        /// @param parts identities of a tuple's elements
        static Object of(List<Object> parts) {
            StringBuilder text = new StringBuilder("(");
            for (Object part : parts) {
                String one =
                        switch (part) {
                            case String of -> of + 's';
                            case Coded(String of) -> of + 'c';
                            case Long of -> of + "i";
                            case BigInteger of -> of + "i";
                            case Double of -> Double.doubleToLongBits(of) + "d";
                            case PyNone _ -> "n";
                            case PyExtension of -> of + "e";
                            default -> "";
                        };
                if (one.isEmpty()) {
                    return parts; // an object that is a key by its identity, whose hash none
                    // chooses
                }
                text.append(one.length()).append(' ').append(one);
            }
            return new Coded(text.append(')').toString());
        }

        @Override
        public int compareTo(Coded other) {
            return text.compareTo(other.text);
        }
    }

    /// Equal where it is one object.
    private static final class Same {
        private final Object object;

        Same(Object object) {
            this.object = object;
        }

        @Override
        @SuppressWarnings("ReferenceEquality") // identity is the point
        public boolean equals(Object other) {
            return other instanceof Same same && object == same.object;
        }

        @Override
        public int hashCode() {
            return System.identityHashCode(object);
        }
    }

    @Override
    public String toString() {
        return "dict of " + entries.size();
    }
}
