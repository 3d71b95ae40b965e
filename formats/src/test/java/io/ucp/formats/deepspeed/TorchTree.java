package io.ucp.formats.deepspeed;

import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.TorchWriter;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyGlobal;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.formats.torch.pickle.PyList;
import io.ucp.formats.torch.pickle.PyNone;
import io.ucp.formats.torch.pickle.PyObject;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.IntUnaryOperator;

/// A torch file while it is put together: tensors get storages, and Java values become Python's.
public final class TorchTree {
    private final SequencedMap<String, byte[]> storages = new LinkedHashMap<>();

    /// A tensor in a storage of its own.
    ///
    /// @param bits the bits of each element, in as many low bytes as the dtype has
    public PyObject tensor(DType dtype, Shape shape, IntUnaryOperator bits) {
        int count = Math.toIntExact(shape.count());
        ByteBuffer bytes =
                ByteBuffer.allocate(count * dtype.width()).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < count; i++) {
            if (dtype.width() == 4) {
                bytes.putInt(bits.applyAsInt(i));
            } else {
                bytes.putShort((short) bits.applyAsInt(i));
            }
        }
        String key = Integer.toString(storages.size());
        storages.put(key, bytes.array());
        return TensorPickles.write(TorchTensor.contiguous(dtype, shape, key));
    }

    public PyObject floats(float... values) {
        return tensor(
                DType.FLOAT32, Shape.of(values.length), i -> Float.floatToRawIntBits(values[i]));
    }

    /// A tensor without dims.
    public PyObject number(float value) {
        return tensor(DType.FLOAT32, Shape.of(), _ -> Float.floatToRawIntBits(value));
    }

    public void write(Path file, PickleValue root) throws IOException {
        TorchWriter.write(file, root, storages);
    }

    /// A Python value for a Java one: maps, lists, texts, numbers, shapes, nodes; null is `None`.
    public static PickleValue of(@Nullable Object value) {
        return switch (value) {
            case null -> PyNone.NONE;
            case PickleValue node -> node;
            case String text -> PyText.of(text);
            case Boolean bool -> new PyBool(bool);
            case Integer number -> PyInt.of(number);
            case Long number -> PyInt.of(number);
            case Double number -> new PyFloat(number);
            case List<?> list -> PyList.of(list.stream().map(TorchTree::of).toList());
            case Map<?, ?> map ->
                    PyDict.of(
                            map.entrySet().stream()
                                    .map(e -> new PyDict.Entry(of(e.getKey()), of(e.getValue())))
                                    .toList());
            case Shape shape ->
                    PyObject.call(
                            new PyGlobal("torch", "Size"),
                            PyTuple.of(Arrays.stream(shape.dims()).mapToObj(PyInt::of).toList()));
            default -> throw new IllegalArgumentException("no Python value for " + value);
        };
    }

    /// `deepspeed.utils.tensor_fragment.fragment_address(numel, start)`.
    public static PyObject address(long start, long count) {
        SequencedMap<String, Object> fields = new LinkedHashMap<>();
        fields.put("numel", count);
        fields.put("start", start);
        return PyObject.instance(
                        new PyGlobal("deepspeed.utils.tensor_fragment", "fragment_address"))
                .withState(of(fields));
    }
}
