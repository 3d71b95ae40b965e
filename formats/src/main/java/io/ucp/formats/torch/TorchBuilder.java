package io.ucp.formats.torch;

import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyFloat;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// A torch file in the making: trees of one source file with their storages, and new tensors.
public final class TorchBuilder {
    /// @param parts in order, at offsets from the start of the storage; zeros between them
    private record Filled(long size, List<Part> parts) {}

    private final Map<String, Storage> kept;
    private final Map<String, Filled> made = new HashMap<>();
    private int next;

    /// @param kept storages of the file whose trees are to be used again
    public TorchBuilder(Map<String, Storage> kept) {
        this.kept = kept;
    }

    /// A new dense tensor.
    ///
    /// @param parts of its storage, in order, at offsets from its start; zeros where there are none
    public TorchTensor tensor(DType dtype, Shape shape, List<Part> parts) {
        String key = Integer.toString(next++);
        while (kept.containsKey(key)) {
            key = Integer.toString(next++);
        }
        TorchTensor tensor = TorchTensor.contiguous(dtype, shape, key);
        made.put(key, new Filled(tensor.size(), List.copyOf(parts)));
        return tensor;
    }

    /// An int64 and a float64 are Python's own numbers, others 0-d tensors.
    public PickleValue scalar(Scalar value) {
        ByteBuffer bytes = ByteBuffer.wrap(value.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        return switch (value.dtype()) {
            case INT64 -> PyInt.of(bytes.getLong());
            case FLOAT64 -> new PyFloat(bytes.getDouble());
            default ->
                    TensorPickles.write(
                            tensor(
                                    value.dtype(),
                                    Shape.of(),
                                    List.of(new Part.Literal(0, value.bytes()))));
        };
    }

    /// The object with those of the storages that it names.
    public TargetFile file(String path, PickleValue tree) {
        List<TorchStorage> named = new ArrayList<>();
        for (String key : StorageKeys.in(tree)) {
            named.add(new TorchStorage(key, filled(path, key).size()));
        }
        TorchLayout layout = TorchLayout.of(TorchLayout.rootOf(path), tree, named);
        return layout.file(path, key -> placed(layout.storageOffset(key), filled(path, key)));
    }

    private Filled filled(String path, String key) {
        Filled filled = made.get(key);
        if (filled != null) {
            return filled;
        }
        return Optional.ofNullable(kept.get(key))
                .map(TorchBuilder::filled)
                .orElseThrow(
                        () ->
                                new IllegalArgumentException(
                                        "%s: no storage '%s'".formatted(path, key)));
    }

    private static Filled filled(Storage storage) {
        return new Filled(
                storage.size(),
                storage.content().stream()
                        .sorted(Comparator.comparingLong(Content::offset))
                        .map(
                                content ->
                                        switch (content) {
                                            case Content.Raw(
                                                            long offset,
                                                            var source,
                                                            long from,
                                                            long size) ->
                                                    new Part.Copied(offset, source, from, size);
                                            case Content.Elements(long offset, var of) ->
                                                    (Part) new Part.Elements(offset, of);
                                        })
                        .toList());
    }

    private static List<Part> placed(long offset, Filled filled) {
        List<Part> parts = new ArrayList<>();
        long at = 0;
        for (Part part : filled.parts()) {
            zeros(offset, at, part.offset(), parts);
            parts.add(part.moved(offset));
            at = part.offset() + part.size();
        }
        zeros(offset, at, filled.size(), parts);
        return parts;
    }

    private static void zeros(long offset, long from, long to, List<Part> into) {
        if (from < to) {
            into.add(new Part.Zeros(offset + from, to - from));
        }
    }
}
