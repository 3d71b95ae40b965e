package io.ucp.formats.torch;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.io.ByteReader;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// What the nodes of an opened torch file are to a checkpoint: tensors where they lie, numbers, and
/// the whole file to be carried.
public record TorchContents(TorchFile file) {
    /// The tensor that a node stands for, where it lies.
    public Optional<TensorEntry> tensor(PickleValue node) {
        return file.tensor(node)
                .map(
                        t ->
                                new TensorEntry(
                                        file.source(),
                                        t.shape().count() == 0 ? 0 : file.position(t),
                                        t.dtype(),
                                        t.shape(),
                                        t.isContiguous() ? t.shape().strides() : t.strides()));
    }

    /// A number, or a tensor without dims, whose bytes are read.
    public Optional<Scalar> scalar(PickleValue value) throws IOException {
        if (value.asLong().isPresent()) {
            return Optional.of(eightBytes(DType.INT64, value.asLong().getAsLong()));
        }
        if (value instanceof PyFloat(double number)) {
            return Optional.of(eightBytes(DType.FLOAT64, Double.doubleToRawLongBits(number)));
        }
        if (value.asBool().isPresent()) {
            byte bit = (byte) (value.asBool().get() ? 1 : 0);
            return Optional.of(new Scalar(DType.BOOL, new byte[] {bit}));
        }
        Optional<TensorEntry> tensor = tensor(value).filter(t -> t.shape().rank() == 0);
        return tensor.isEmpty() ? Optional.empty() : Optional.of(read(tensor.get()));
    }

    /// The value of a tensor of one element.
    public static Scalar read(TensorEntry tensor) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(tensor.dtype().width());
        try (ByteReader reader = tensor.source().open()) {
            reader.read(tensor.offset(), bytes);
        }
        return new Scalar(tensor.dtype(), bytes.array());
    }

    /// @param expected in the words of an error where it is no dict
    public PyDict dict(PickleValue value, String expected) throws MalformedFileException {
        Optional<PyDict> dict = value.asDict();
        if (dict.isEmpty()) {
            throw malformed(value.toString(), expected, "");
        }
        return dict.get();
    }

    /// The list or tuple of an entry.
    public List<PickleValue> sequence(PyDict dict, String key) throws MalformedFileException {
        Optional<List<PickleValue>> list = dict.find(key).flatMap(PickleValue::asSequence);
        if (list.isEmpty()) {
            throw malformed("`" + key + "` is no list", "one entry per group", "");
        }
        return list.get();
    }

    public MalformedFileException malformed(String found, String expected, String remedy) {
        return new MalformedFileException(file.path(), -1, found, expected, remedy);
    }

    private static Scalar eightBytes(DType dtype, long bits) {
        ByteBuffer bytes = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        return new Scalar(dtype, bytes.putLong(0, bits).array());
    }

    /// The file as it lies there.
    ///
    /// @param as its path in the checkpoint
    public CarriedFile carried(String as, String role, Coordinate at) {
        Map<String, CarriedFile.Storage> storages = new HashMap<>();
        String prefix = file.root() + "/data/";
        for (TorchRecord record : file.records()) {
            if (record.name().startsWith(prefix)) {
                storages.put(record.name().substring(prefix.length()), storage(record));
            }
        }
        return new CarriedFile(
                as, role, at, Optional.of(file.source()), Optional.of(file.tree()), storages);
    }

    private CarriedFile.Storage storage(TorchRecord record) {
        return new CarriedFile.Storage(
                record.size(),
                record.size() == 0
                        ? List.of()
                        : List.of(
                                new CarriedFile.Content.Raw(
                                        0, file.source(), record.offset(), record.size())));
    }
}
