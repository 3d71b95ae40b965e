package io.ucp.formats.deepspeed.universal;

import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.torch.StorageKeys;
import io.ucp.formats.torch.TorchLayout;
import io.ucp.formats.torch.TorchStorage;
import io.ucp.formats.torch.pickle.PickleValue;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// Lays out torch files whose storages are described, not held.
final class TorchTarget {
    private TorchTarget() {}

    /// The object with those of the storages that it names, in the order in which it names them.
    static TargetFile file(String path, PickleValue tree, Map<String, Storage> storages) {
        List<TorchStorage> named = new ArrayList<>();
        for (String key : StorageKeys.in(tree)) {
            named.add(new TorchStorage(key, storage(path, storages, key).size()));
        }
        TorchLayout layout = TorchLayout.of(TorchLayout.rootOf(path), tree, named);
        return layout.file(
                path, key -> parts(layout.storageOffset(key), storage(path, storages, key)));
    }

    /// The object with one storage, `0`, of these bytes.
    static TargetFile file(String path, PickleValue tree, byte[] bytes) {
        List<TorchStorage> storage = List.of(new TorchStorage("0", bytes.length));
        TorchLayout layout = TorchLayout.of(TorchLayout.rootOf(path), tree, storage);
        return layout.file(
                path, key -> List.of(new Part.Literal(layout.storageOffset(key), bytes)));
    }

    private static Storage storage(String path, Map<String, Storage> storages, String key) {
        return Optional.ofNullable(storages.get(key))
                .orElseThrow(
                        () ->
                                new IllegalArgumentException(
                                        "%s: no storage '%s'".formatted(path, key)));
    }

    /// The contents in order, zeros between them.
    private static List<Part> parts(long offset, Storage storage) {
        List<Content> ordered = new ArrayList<>(storage.content());
        ordered.sort(Comparator.comparingLong(Content::offset));
        List<Part> parts = new ArrayList<>();
        long at = 0;
        for (Content content : ordered) {
            zeros(offset, at, content.offset(), parts);
            Part part =
                    switch (content) {
                        case Content.Raw(long begin, var source, long from, long size) ->
                                new Part.Copied(offset + begin, source, from, size);
                        case Content.Elements(long begin, var elements) ->
                                new Part.Elements(offset + begin, elements);
                    };
            parts.add(part);
            at = content.offset() + part.size();
        }
        zeros(offset, at, storage.size(), parts);
        return parts;
    }

    private static void zeros(long offset, long from, long to, List<Part> into) {
        if (from < to) {
            into.add(new Part.Zeros(offset + from, to - from));
        }
    }
}
