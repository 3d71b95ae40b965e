package io.ucp.formats;

import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.tensor.Piece;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// Names the tensors of a carried file: those that are states of parameters are carried by name,
/// the bytes of all others as they lie there.
public final class CarriedTensors {
    private CarriedTensors() {}

    /// A tensor of the file that is the whole of a parameter's state.
    public record Named(TensorEntry tensor, String parameter, String state) {
        private long begin() {
            return tensor.offset();
        }

        private long end() {
            return tensor.offset() + tensor.size();
        }

        private Elementwise elements() {
            return new Elementwise(
                    parameter,
                    state,
                    tensor.dtype(),
                    tensor.shape().count(),
                    List.of(Piece.whole(tensor.shape())));
        }
    }

    /// The file with the bytes of these tensors, which lie in it, named.
    public static CarriedFile naming(CarriedFile file, List<Named> tensors) {
        List<Named> ordered =
                tensors.stream()
                        .filter(t -> t.tensor().isDense() && t.tensor().size() > 0)
                        .sorted(Comparator.comparingLong(Named::begin))
                        .toList();
        Map<String, Storage> storages = new LinkedHashMap<>();
        file.storages()
                .forEach(
                        (key, storage) -> {
                            List<Content> content = new ArrayList<>();
                            for (Content part : storage.content()) {
                                switch (part) {
                                    case Content.Raw raw -> split(raw, ordered, content);
                                    case Content.Elements elements -> content.add(elements);
                                }
                            }
                            storages.put(key, new Storage(storage.size(), content));
                        });
        return new CarriedFile(
                file.path(), file.role(), file.at(), file.file(), file.root(), storages);
    }

    private static void split(Content.Raw raw, List<Named> ordered, List<Content> into) {
        long at = raw.sourceOffset();
        long end = raw.sourceOffset() + raw.size();
        for (Named each : ordered) {
            // Views that overlap one that is named already stay bytes of that one.
            if (each.begin() >= at && each.end() <= end) {
                raw(raw, at, each.begin(), into);
                long offset = raw.offset() + each.begin() - raw.sourceOffset();
                into.add(new Content.Elements(offset, each.elements()));
                at = each.end();
            }
        }
        raw(raw, at, end, into);
    }

    private static void raw(Content.Raw of, long from, long to, List<Content> into) {
        if (from < to) {
            into.add(
                    new Content.Raw(
                            of.offset() + from - of.sourceOffset(), of.source(), from, to - from));
        }
    }
}
