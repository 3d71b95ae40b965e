package io.ucp.formats.torch;

import static java.util.stream.Collectors.toUnmodifiableMap;

import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyPersistent;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/// Tensors among the nodes of a pickle: what a rebuild call means, and the call that means a
/// tensor.
///
/// ```
/// _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])
/// _rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype[, metadata])
/// _rebuild_parameter(tensor, requires_grad, hooks)
/// _rebuild_from_type_v2(rebuild, type, arguments, state)
/// storage = persistent ('storage', torch.<T>Storage, key, location, count)
/// ```
///
/// Other rebuild calls (sparse, nested, quantized, meta tensors, wrapper subclasses) stay opaque,
/// as does a tensor whose bytes are not its values (a lazily conjugated or negated view): what they
/// say beside their elements has no place in a tensor.
///
/// Source: `torch/_utils.py`, `torch/_tensor.py`, `torch/serialization.py`.
public final class TensorPickles {
    private static final PyText STORAGE = PyText.of("storage");
    private static final PyText CPU = PyText.of("cpu");
    private static final Map<String, DType> BY_STORAGE =
            Arrays.stream(DType.values())
                    .filter(dtype -> dtype.storageClass().isPresent())
                    .collect(toUnmodifiableMap(d -> d.storageClass().orElseThrow(), d -> d));

    private TensorPickles() {}

    /// The tensor that this node would be rebuilt to, or empty where it is none or is opaque. Its
    /// bounds are not checked here.
    ///
    /// @throws ArithmeticException where its size does not fit in a long
    public static Optional<TorchTensor> read(PickleValue value) {
        if (!(value instanceof PyObject object)
                || object.making() != PyObject.Making.CALL
                || !(object.callable() instanceof PyGlobal callable)
                || !(object.arguments() instanceof PyTuple arguments)) {
            return Optional.empty();
        }
        return rebuilt(callable, arguments.elements());
    }

    /// Whether a tensor says all there is to its node: no class, attributes or hooks beside it.
    static boolean isPlain(PyObject object) {
        return object.changes().isEmpty()
                && (object.isCallOf("torch._utils", "_rebuild_tensor_v2")
                        || object.isCallOf("torch._utils", "_rebuild_tensor_v3"))
                && object.argument(5).filter(TensorPickles::hasNoHooks).isPresent();
    }

    /// The call that rebuilds a tensor which is opaque here: `_rebuild_sparse_tensor`. Empty for
    /// what is read, and for what is no tensor.
    public static Optional<String> opaque(PickleValue value) {
        return value instanceof PyObject object
                        && object.callable() instanceof PyGlobal callable
                        && (callable.module().equals("torch._utils")
                                || callable.module().equals("torch._tensor"))
                        && callable.name().startsWith("_rebuild")
                        && read(value).isEmpty()
                ? Optional.of(callable.name())
                : Optional.empty();
    }

    private static Optional<TorchTensor> rebuilt(PyGlobal callable, List<PickleValue> arguments) {
        if (callable.is("torch._tensor", "_rebuild_from_type_v2")) {
            return wrapped(arguments);
        }
        if (!callable.module().equals("torch._utils")) {
            return Optional.empty();
        }
        return switch (callable.name()) {
            case "_rebuild_tensor" -> view(arguments, 4, null, -1);
            case "_rebuild_tensor_v2" -> view(arguments, 6, null, 6);
            case "_rebuild_tensor_v3" -> ofDType(arguments);
            case "_rebuild_parameter", "_rebuild_parameter_with_state" -> parameter(arguments);
            default -> Optional.empty();
        };
    }

    /// A tensor with attributes or of a subclass. The call inside it is not nested further: torch
    /// does not write that.
    private static Optional<TorchTensor> wrapped(List<PickleValue> arguments) {
        if (arguments.size() == 4
                && arguments.get(0) instanceof PyGlobal callable
                && arguments.get(2) instanceof PyTuple inner
                && !callable.is("torch._tensor", "_rebuild_from_type_v2")) {
            return rebuilt(callable, inner.elements());
        }
        return Optional.empty();
    }

    private static Optional<TorchTensor> parameter(List<PickleValue> arguments) {
        boolean grad = arguments.size() >= 2 && flag(arguments.get(1));
        if (arguments.isEmpty()
                || !(arguments.get(0) instanceof PyObject inner)
                || !(inner.callable() instanceof PyGlobal callable)
                || callable.name().startsWith("_rebuild_parameter")) {
            return Optional.empty();
        }
        return read(inner).map(tensor -> tensor.requiringGrad(grad));
    }

    private static Optional<TorchTensor> ofDType(List<PickleValue> arguments) {
        return arguments.size() < 7
                ? Optional.empty()
                : dtype(arguments.get(6)).flatMap(dtype -> view(arguments, 7, dtype, 7));
    }

    /// @param dtype of the tensor, or null where it is its storage's
    /// @param metadata index of the argument that may say how bytes and values differ, or -1
    private static Optional<TorchTensor> view(
            List<PickleValue> arguments, int least, @Nullable DType dtype, int metadata) {
        if (arguments.size() < least) {
            return Optional.empty();
        }
        if (metadata >= 0 && metadata < arguments.size() && !isEmpty(arguments.get(metadata))) {
            return Optional.empty();
        }
        boolean grad = arguments.size() > 4 && flag(arguments.get(4));
        OptionalLong offset = arguments.get(1).asLong();
        Optional<long[]> size = numbers(arguments.get(2));
        Optional<long[]> stride = numbers(arguments.get(3));
        if (offset.isEmpty() || size.isEmpty() || stride.isEmpty()) {
            return Optional.empty();
        }
        return storage(arguments.get(0), dtype)
                .flatMap(s -> s.view(offset.getAsLong(), size.get(), stride.get()))
                .map(tensor -> tensor.requiringGrad(grad));
    }

    /// @param size bytes
    private record Storage(DType dtype, String key, String location, long size) {
        Optional<TorchTensor> view(long offset, long[] extents, long[] strides) {
            if (offset < 0 || size < 0 || extents.length != strides.length) {
                return Optional.empty();
            }
            if (!allNatural(extents) || !allNatural(strides)) {
                return Optional.empty();
            }
            Shape shape = Shape.of(extents);
            return Optional.of(
                    TorchTensor.view(dtype, shape, strides, key, offset, size).at(location));
        }
    }

    private static boolean allNatural(long[] numbers) {
        for (long number : numbers) {
            if (number < 0) {
                return false;
            }
        }
        return true;
    }

    private static Optional<Storage> storage(PickleValue value, @Nullable DType viewed) {
        if (!(value instanceof PyPersistent persistent)
                || !(persistent.id() instanceof PyTuple id)
                || id.elements().size() < 5
                || !id.elements().getFirst().equals(STORAGE)
                || !(id.elements().get(1) instanceof PyGlobal cls)) {
            return Optional.empty();
        }
        Optional<String> key = id.elements().get(2).asText();
        Optional<String> location = id.elements().get(3).asText();
        OptionalLong count = id.elements().get(4).asLong();
        // An untyped storage counts bytes.
        Optional<DType> stored =
                cls.name().equals("UntypedStorage")
                        ? Optional.of(DType.UINT8)
                        : Optional.ofNullable(BY_STORAGE.get(cls.name()));
        if (key.isEmpty() || location.isEmpty() || count.isEmpty() || stored.isEmpty()) {
            return Optional.empty();
        }
        long size = Math.multiplyExact(count.getAsLong(), stored.get().width());
        DType dtype = viewed == null ? stored.get() : viewed;
        return Optional.of(new Storage(dtype, key.get(), location.get(), size));
    }

    private static boolean isEmpty(PickleValue metadata) {
        return metadata.isNone() || metadata.asDict().filter(d -> d.size() == 0).isPresent();
    }

    private static boolean hasNoHooks(PickleValue hooks) {
        return hooks.isNone()
                || (hooks instanceof PyObject object
                        && object.isCallOf("collections", "OrderedDict")
                        && object.changes().isEmpty()
                        && object.argument(0).isEmpty());
    }

    private static boolean flag(PickleValue value) {
        return value.asBool().orElse(false);
    }

    private static Optional<DType> dtype(PickleValue value) {
        return value instanceof PyGlobal global && global.module().equals("torch")
                ? DType.ofTorchName(global.name())
                : Optional.empty();
    }

    private static Optional<long[]> numbers(PickleValue value) {
        List<PickleValue> elements = value.asSequence().orElse(List.of());
        long[] numbers = new long[elements.size()];
        for (int i = 0; i < numbers.length; i++) {
            OptionalLong number = elements.get(i).asLong();
            if (number.isEmpty()) {
                return Optional.empty();
            }
            numbers[i] = number.getAsLong();
        }
        return value.asSequence().isPresent() ? Optional.of(numbers) : Optional.empty();
    }

    /// The rebuild call for a tensor, as torch writes it: `_rebuild_tensor_v2` with a typed
    /// storage, or `_rebuild_tensor_v3` for the dtypes that have none.
    public static PyObject write(TorchTensor tensor) {
        DType dtype = tensor.dtype();
        boolean typed = dtype.storageClass().isPresent();
        PyGlobal storageClass =
                dtype.storageClass()
                        .map(name -> new PyGlobal("torch", name))
                        .orElse(new PyGlobal("torch.storage", "UntypedStorage"));
        long count = typed ? tensor.storageSize() / dtype.width() : tensor.storageSize();
        PyPersistent storage =
                PyPersistent.of(
                        PyTuple.of(
                                STORAGE,
                                storageClass,
                                PyText.of(tensor.storageKey()),
                                location(tensor.location()),
                                PyInt.of(count)));
        PickleValue offset = PyInt.of(tensor.storageOffset());
        PickleValue size = tuple(tensor.shape().dims());
        PickleValue stride = tuple(tensor.strides());
        PickleValue grad = new PyBool(tensor.requiresGrad());
        PickleValue hooks = PyObject.call(new PyGlobal("collections", "OrderedDict"));
        return typed
                ? PyObject.call(
                        new PyGlobal("torch._utils", "_rebuild_tensor_v2"),
                        storage,
                        offset,
                        size,
                        stride,
                        grad,
                        hooks)
                : PyObject.call(
                        new PyGlobal("torch._utils", "_rebuild_tensor_v3"),
                        storage,
                        offset,
                        size,
                        stride,
                        grad,
                        hooks,
                        new PyGlobal("torch", dtype.torchName()));
    }

    /// One node for the usual location: Python interns it, so its pickler writes it once.
    private static PyText location(String name) {
        return name.equals("cpu") ? CPU : PyText.of(name);
    }

    private static PyTuple tuple(long[] numbers) {
        return PyTuple.of(Arrays.stream(numbers).mapToObj(PyInt::of).toList());
    }
}
