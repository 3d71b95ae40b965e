package io.ucp.formats.distcp;

import io.ucp.formats.distcp.StateDictEntry.OfObject;
import io.ucp.formats.distcp.StateDictEntry.OfTensor;
import io.ucp.formats.distcp.StateDictEntry.Stored;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.TorchWriter;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.formats.torch.pickle.PyTuple;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Builds a small checkpoint, well-formed or not. Byte i of every chunk is i.
public final class SmallCheckpoint {
    private final Path folder;
    private final Map<String, StateDictEntry> entries = new LinkedHashMap<>();
    private final List<PyDict.Entry> planner = new ArrayList<>();
    private Optional<PyDict> extra = Optional.empty();
    private final Map<String, ByteArrayOutputStream> files = new LinkedHashMap<>();

    public SmallCheckpoint(Path folder) {
        this.folder = folder;
    }

    /// A tensor of float32, a chunk a rank.
    ///
    /// @param path of the key in the nested state dict
    public SmallCheckpoint tensor(List<String> path, Shape shape, Chunk... chunks)
            throws IOException {
        List<Stored> stored = new ArrayList<>();
        for (Chunk chunk : chunks) {
            stored.add(
                    new Stored(
                            chunk, item("__%d_0.distcp".formatted(stored.size()), chunk.extent())));
        }
        return entry(path, new OfTensor(DType.FLOAT32, shape, false, stored));
    }

    public SmallCheckpoint whole(List<String> path, long... dims) throws IOException {
        Shape shape = Shape.of(dims);
        return tensor(path, shape, Chunk.whole(shape));
    }

    /// A matrix that lies column by column.
    public SmallCheckpoint transposed(List<String> path, DType dtype, long rows, long columns)
            throws IOException {
        Shape shape = Shape.of(rows, columns);
        long[] strides = {1, rows};
        long size = shape.count() * dtype.width();
        TorchTensor view = TorchTensor.view(dtype, shape, strides, "0", 0, size);
        Place place = add("__0_0.distcp", TensorPickles.write(view), counting(size));
        return entry(
                path,
                new OfTensor(dtype, shape, false, List.of(new Stored(Chunk.whole(shape), place))));
    }

    public SmallCheckpoint object(List<String> path, PickleValue value) throws IOException {
        return entry(path, new OfObject(add("__0_0.distcp", value, Map.of())));
    }

    /// An object with the storages that its tensors name.
    public SmallCheckpoint object(
            List<String> path, PickleValue value, Map<String, byte[]> storages) throws IOException {
        return entry(path, new OfObject(add("__0_0.distcp", value, storages)));
    }

    public SmallCheckpoint entry(List<String> path, StateDictEntry entry) {
        String key = String.join(".", path);
        entries.put(key, entry);
        planner.add(
                new PyDict.Entry(
                        PyText.of(key), PyTuple.of(path.stream().map(PyText::of).toList())));
        return this;
    }

    /// An item that holds a float32 tensor.
    Place item(String file, Shape shape) throws IOException {
        PickleValue tensor = TensorPickles.write(TorchTensor.contiguous(DType.FLOAT32, shape, "0"));
        return add(file, tensor, counting(shape.count() * 4));
    }

    private static Map<String, byte[]> counting(long size) {
        byte[] bytes = new byte[Math.toIntExact(size)];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) i;
        }
        return Map.of("0", bytes);
    }

    private Place add(String name, PickleValue tree, Map<String, byte[]> storages)
            throws IOException {
        Path item = folder.resolve("archive");
        TorchWriter.write(item, tree, new LinkedHashMap<>(storages));
        byte[] bytes = Files.readAllBytes(item);
        Files.delete(item);
        ByteArrayOutputStream file = files.computeIfAbsent(name, _ -> new ByteArrayOutputStream());
        Place place = new Place(name, file.size(), bytes.length);
        file.writeBytes(bytes);
        return place;
    }

    /// `mcore_data`.
    public SmallCheckpoint extra(PyDict data) {
        extra = Optional.of(data);
        return this;
    }

    public DistcpMetadata metadata() {
        return new DistcpMetadata(entries, Optional.of(PyDict.of(planner)), extra);
    }

    /// Writes everything, `.metadata` last.
    public Path write() throws IOException {
        return write(metadata().tree());
    }

    Path write(PickleValue metadata) throws IOException {
        for (Map.Entry<String, ByteArrayOutputStream> file : files.entrySet()) {
            Files.write(folder.resolve(file.getKey()), file.getValue().toByteArray());
        }
        Files.write(folder.resolve(DistcpMetadata.FILE), PickleWriter.write(metadata));
        return folder;
    }

    public static Chunk chunk(List<Long> start, long... extent) {
        return new Chunk(start, Shape.of(extent));
    }

    public static List<String> path(String... steps) {
        return Arrays.asList(steps);
    }
}
