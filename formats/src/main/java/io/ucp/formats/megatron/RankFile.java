package io.ucp.formats.megatron;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchRecord;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.io.ByteReader;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// A torch file of a rank's folder: its pickle is read, its tensors are where they are.
record RankFile(TorchFile torch) {
    static RankFile open(Path path) throws IOException {
        return new RankFile(TorchFile.open(path));
    }

    PickleValue root() {
        return torch.tree();
    }

    Path path() {
        return torch.path();
    }

    /// `mp_rank_00/model_optim_rng.pt`.
    String label() {
        Path folder = path().getParent();
        return folder == null
                ? IterationFolder.nameOf(path())
                : IterationFolder.nameOf(folder) + "/" + IterationFolder.nameOf(path());
    }

    Optional<TensorEntry> tensor(PickleValue node) {
        Optional<TorchTensor> tensor = torch.tensor(node);
        return tensor.map(
                t ->
                        new TensorEntry(
                                torch.source(),
                                t.shape().count() == 0 ? 0 : torch.position(t),
                                t.dtype(),
                                t.shape(),
                                t.isContiguous() ? t.shape().strides() : t.strides()));
    }

    /// A number, or a tensor without dims, whose bytes are read.
    Optional<Scalar> scalar(PickleValue value) throws IOException {
        if (value.asLong().isPresent()) {
            return Optional.of(eightBytes(DType.INT64, value.asLong().getAsLong()));
        }
        if (value instanceof PyFloat(double number)) {
            return Optional.of(eightBytes(DType.FLOAT64, Double.doubleToRawLongBits(number)));
        }
        Optional<TensorEntry> tensor = tensor(value).filter(t -> t.shape().rank() == 0);
        return tensor.isEmpty() ? Optional.empty() : Optional.of(read(tensor.get()));
    }

    private static Scalar read(TensorEntry tensor) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(tensor.dtype().width());
        try (ByteReader reader = tensor.source().open()) {
            reader.read(tensor.offset(), bytes);
        }
        return new Scalar(tensor.dtype(), bytes.array());
    }

    private static Scalar eightBytes(DType dtype, long bits) {
        ByteBuffer bytes = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        return new Scalar(dtype, bytes.putLong(0, bits).array());
    }

    PyDict dict(PickleValue value, String expected) throws MalformedFileException {
        Optional<PyDict> dict = value.asDict();
        if (dict.isEmpty()) {
            throw malformed(value.toString(), expected);
        }
        return dict.get();
    }

    List<PickleValue> sequence(PyDict dict, String key) throws MalformedFileException {
        Optional<List<PickleValue>> list = dict.find(key).flatMap(PickleValue::asSequence);
        if (list.isEmpty()) {
            throw malformed("`" + key + "` is no list", "one entry for each group");
        }
        return list.get();
    }

    MalformedFileException malformed(String found, String expected) {
        return malformed(found, expected, "");
    }

    MalformedFileException malformed(String found, String expected, String remedy) {
        return new MalformedFileException(path(), -1, found, expected, remedy);
    }

    CarriedFile carried(String role, Coordinate at) {
        Map<String, CarriedFile.Storage> storages = new HashMap<>();
        String prefix = torch.root() + "/data/";
        for (TorchRecord record : torch.records()) {
            if (record.name().startsWith(prefix)) {
                storages.put(record.name().substring(prefix.length()), storage(record));
            }
        }
        return new CarriedFile(
                label(), role, at, Optional.of(torch.source()), Optional.of(root()), storages);
    }

    private CarriedFile.Storage storage(TorchRecord record) {
        return new CarriedFile.Storage(
                record.size(),
                record.size() == 0
                        ? List.of()
                        : List.of(
                                new CarriedFile.Content.Raw(
                                        0, torch.source(), record.offset(), record.size())));
    }
}
