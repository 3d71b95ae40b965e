package io.ucp.checkpoint;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.io.ByteSource;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/// Replaces the bytes of carried storages that are elements of parameters by references to them, so
/// that a universal form holds each element once.
final class CarriedBinding {
    private CarriedBinding() {}

    static List<CarriedFile> bind(List<CarriedFile> carried, List<Span> spans) {
        Map<ByteSource, List<Span>> bySource = new HashMap<>();
        for (Span span : spans) {
            if (span.tensor().isDense() && span.size() > 0) {
                bySource.computeIfAbsent(span.tensor().source(), _ -> new ArrayList<>()).add(span);
            }
        }
        bySource.values().forEach(held -> held.sort(Comparator.comparingLong(Span::offset)));
        List<CarriedFile> out = new ArrayList<>(carried.size());
        for (CarriedFile file : carried) {
            Map<String, CarriedFile.Storage> storages = new HashMap<>();
            file.storages().forEach((key, storage) -> storages.put(key, bind(storage, bySource)));
            out.add(
                    new CarriedFile(
                            file.path(),
                            file.role(),
                            file.at(),
                            file.file(),
                            file.root(),
                            storages));
        }
        return out;
    }

    private static CarriedFile.Storage bind(
            CarriedFile.Storage storage, Map<ByteSource, List<Span>> bySource) {
        List<Content> content = new ArrayList<>();
        for (Content part : storage.content()) {
            switch (part) {
                case Content.Raw raw ->
                        split(raw, bySource.getOrDefault(raw.source(), List.of()), content);
                case Content.Elements elements -> content.add(elements);
            }
        }
        return new CarriedFile.Storage(storage.size(), content);
    }

    /// @param spans of its source, by offset
    private static void split(Content.Raw raw, List<Span> spans, List<Content> into) {
        long end = raw.sourceOffset() + raw.size();
        long at = raw.sourceOffset();
        for (int k = first(spans, at); k < spans.size() && spans.get(k).offset() < end; k++) {
            Span span = spans.get(k);
            if (span.offset() < at || span.offset() + span.size() > end) {
                continue; // a view inside a stretch that is already named
            }
            raw(raw, at, span.offset(), into);
            into.add(
                    new Content.Elements(
                            raw.offset() + span.offset() - raw.sourceOffset(), span.of()));
            at = span.offset() + span.size();
        }
        raw(raw, at, end, into);
    }

    /// The first of them that begins at an offset or behind it.
    private static int first(List<Span> spans, long offset) {
        int low = 0;
        int high = spans.size();
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (spans.get(middle).offset() < offset) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    private static void raw(Content.Raw raw, long from, long to, List<Content> into) {
        if (from < to) {
            into.add(
                    new Content.Raw(
                            raw.offset() + from - raw.sourceOffset(),
                            raw.source(),
                            from,
                            to - from));
        }
    }
}
