package io.ucp.checkpoint;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.io.ByteSource;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

/// Replaces the bytes of carried storages that are elements of parameters by references to them, so
/// that a universal form holds each element once.
final class CarriedBinding {
    private CarriedBinding() {}

    static List<CarriedFile> bind(List<CarriedFile> carried, List<Span> spans) {
        Map<ByteSource, NavigableMap<Long, Span>> byPlace = new HashMap<>();
        for (Span span : spans) {
            if (span.tensor().isDense() && span.size() > 0) {
                byPlace.computeIfAbsent(span.tensor().source(), _ -> new TreeMap<>())
                        .putIfAbsent(span.offset(), span);
            }
        }
        List<CarriedFile> out = new ArrayList<>(carried.size());
        for (CarriedFile file : carried) {
            Map<String, CarriedFile.Storage> storages = new HashMap<>();
            file.storages().forEach((key, storage) -> storages.put(key, bind(storage, byPlace)));
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
            CarriedFile.Storage storage, Map<ByteSource, NavigableMap<Long, Span>> byPlace) {
        List<Content> content = new ArrayList<>();
        for (Content part : storage.content()) {
            switch (part) {
                case Content.Raw raw -> split(raw, byPlace.get(raw.source()), content);
                case Content.Elements elements -> content.add(elements);
            }
        }
        return new CarriedFile.Storage(storage.size(), content);
    }

    private static void split(
            Content.Raw raw, @Nullable NavigableMap<Long, Span> spans, List<Content> into) {
        long end = raw.sourceOffset() + raw.size();
        long at = raw.sourceOffset();
        if (spans != null) {
            for (Span span : spans.subMap(at, true, end, false).values()) {
                if (span.offset() < at || span.offset() + span.size() > end) {
                    continue; // a view inside a stretch that is already named
                }
                raw(raw, at, span.offset(), into);
                into.add(
                        new Content.Elements(
                                raw.offset() + span.offset() - raw.sourceOffset(), span.of()));
                at = span.offset() + span.size();
            }
        }
        raw(raw, at, end, into);
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
