package io.ucp.formats.torch.pickle;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/// One Python object, as a pickle describes it.
///
/// The `as..` views answer "is it usable as"; they are empty rather than throw, so that a reader of
/// a checkpoint can say itself what it expected and where.
public sealed interface PickleValue
        permits PyNone,
                PyBool,
                PyInt,
                PyFloat,
                PyText,
                PyBytes,
                PyGlobal,
                PyExtension,
                PyContainer {

    /// The text of a `str`.
    default Optional<String> asText() {
        return this instanceof PyText text ? Optional.of(text.value()) : Optional.empty();
    }

    /// An `int` that fits in a long; empty for a `bool`.
    default OptionalLong asLong() {
        return this instanceof PyInt i ? i.asLong() : OptionalLong.empty();
    }

    /// An `int` of any size.
    default Optional<BigInteger> asInteger() {
        return this instanceof PyInt i ? Optional.of(i.value()) : Optional.empty();
    }

    default Optional<Boolean> asBool() {
        return this instanceof PyBool(boolean value) ? Optional.of(value) : Optional.empty();
    }

    /// A `float`, or an `int` as one.
    default OptionalDouble asDouble() {
        return switch (this) {
            case PyFloat(double value) -> OptionalDouble.of(value);
            case PyInt i -> OptionalDouble.of(i.value().doubleValue());
            case PickleValue _ -> OptionalDouble.empty();
        };
    }

    /// `bytes` or `bytearray`, also in the form that protocol 2 gives them: `_codecs.encode(text,
    /// 'latin1')`.
    default Optional<byte[]> asBytes() {
        return switch (this) {
            case PyBytes bytes -> Optional.of(bytes.toArray());
            case PyObject call when call.isCallOf("_codecs", "encode") -> latin1(call);
            case PickleValue _ -> Optional.empty();
        };
    }

    private static Optional<byte[]> latin1(PyObject call) {
        Optional<String> text = call.argument(0).flatMap(PickleValue::asText);
        Optional<String> encoding = call.argument(1).flatMap(PickleValue::asText);
        boolean bytes =
                call.changes().isEmpty()
                        && encoding.filter("latin1"::equals).isPresent()
                        && text.filter(t -> t.chars().allMatch(c -> c <= 0xff)).isPresent();
        return bytes ? text.map(t -> t.getBytes(StandardCharsets.ISO_8859_1)) : Optional.empty();
    }

    /// The elements of a `list`, a `tuple` or a `torch.Size`.
    default Optional<List<PickleValue>> asSequence() {
        return switch (this) {
            case PyTuple tuple -> Optional.of(tuple.elements());
            case PyList list -> Optional.of(list.elements());
            case PyObject call when call.isCallOf("torch", "Size") ->
                    call.argument(0).flatMap(PickleValue::asSequence);
            case PickleValue _ -> Optional.empty();
        };
    }

    /// The items of a `dict`, of an `OrderedDict` or any other object that had items set, or the
    /// attributes of an `argparse.Namespace`.
    default Optional<PyDict> asDict() {
        return switch (this) {
            case PyDict dict -> Optional.of(dict);
            case PyObject object when object.isInstanceOf("argparse", "Namespace") ->
                    object.attributes();
            case PyObject object
                    when object.isInstanceOf("collections", "OrderedDict")
                            || object.isInstanceOf("collections", "defaultdict")
                            || object.hasItems() ->
                    Optional.of(object.items());
            case PickleValue _ -> Optional.empty();
        };
    }

    /// What lies under these keys, one `dict` inside the other ([#asDict()]); empty where a step is
    /// missing or is no dict.
    default Optional<PickleValue> find(String... path) {
        Optional<PickleValue> at = Optional.of(this);
        for (String key : path) {
            at = at.flatMap(PickleValue::asDict).flatMap(dict -> dict.find(key));
        }
        return at;
    }

    /// A whole number of nested dicts.
    default OptionalLong findLong(String... path) {
        return find(path).map(PickleValue::asLong).orElse(OptionalLong.empty());
    }

    default boolean isNone() {
        return this instanceof PyNone;
    }
}
