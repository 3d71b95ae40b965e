package io.ucp.formats.universal;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.Elementwise;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.torch.pickle.PickleReader;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.RunningCalls;
import io.ucp.io.MalformedFileException;
import io.ucp.io.PlainFile;
import io.ucp.tensor.Piece;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32;

/// Reads a [CarriedArchive] back.
final class CarriedReader {
    private static final String COPY = "copy the checkpoint again";
    private static final int LONGEST_TREE = 1 << 30;

    private final PlainFile archive;
    private final Path path;
    private final Map<String, ParameterFacts> parameters;
    private final Map<String, ZipForm.Entry> entries = new HashMap<>();
    private final FileChannel channel;

    private CarriedReader(
            PlainFile archive, Map<String, ParameterFacts> parameters, FileChannel channel)
            throws IOException {
        this.archive = archive;
        this.path = archive.path();
        this.parameters = parameters;
        this.channel = channel;
        for (ZipForm.Entry entry : ZipForm.read(channel, path)) {
            if (entries.put(entry.name(), entry) != null) {
                throw wrong(entry.header(), "\"" + entry.name() + "\" again", "each entry once");
            }
        }
    }

    /// @param parameters that storages may refer to
    static CarriedFile read(
            Path folder, Manifest.Carried carried, Map<String, ParameterFacts> parameters)
            throws IOException {
        PlainFile archive = PlainFile.of(folder.resolve(carried.archive()));
        try (FileChannel channel = FileChannel.open(archive.path(), StandardOpenOption.READ)) {
            return new CarriedReader(archive, parameters, channel).read(carried);
        }
    }

    /// Checks the CRC-32 of everything in an archive.
    static void verify(Path folder, Manifest.Carried carried) throws IOException {
        PlainFile archive = PlainFile.of(folder.resolve(carried.archive()));
        try (FileChannel channel = FileChannel.open(archive.path(), StandardOpenOption.READ)) {
            CarriedReader reader = new CarriedReader(archive, Map.of(), channel);
            for (ZipForm.Entry entry : reader.entries.values()) {
                reader.verify(entry);
            }
        }
    }

    private void verify(ZipForm.Entry entry) throws IOException {
        CRC32 crc = new CRC32();
        ByteBuffer buffer = ByteBuffer.allocateDirect((int) Math.min(entry.size(), 1 << 20));
        for (long at = entry.data(); at < entry.end(); at += buffer.limit()) {
            buffer.clear().limit((int) Math.min(buffer.capacity(), entry.end() - at));
            Channels.read(channel, path, at, buffer);
            crc.update(buffer.flip());
        }
        checkCrc(entry, crc);
    }

    private CarriedFile read(Manifest.Carried carried) throws IOException {
        ZipForm.Entry content = entries.get(CarriedArchive.CONTENT);
        if (content != null) {
            return new CarriedFile(
                    carried.path(),
                    carried.role(),
                    carried.at(),
                    Optional.of(new FileRange(archive, content.data(), content.size())),
                    Optional.empty(),
                    Map.of());
        }
        ZipForm.Entry tree = entry(CarriedArchive.TREE);
        PickleValue root = PickleReader.read(path, tree.data(), bytes(tree));
        RunningCalls.refuse(path, root);
        return new CarriedFile(
                carried.path(),
                carried.role(),
                carried.at(),
                Optional.empty(),
                Optional.of(root),
                storages());
    }

    private Map<String, CarriedFile.Storage> storages() throws IOException {
        ZipForm.Entry entry = entry(CarriedArchive.STORAGES);
        Object parsed;
        try {
            parsed = Json.parse(bytes(entry));
        } catch (com.fasterxml.jackson.core.JsonProcessingException e) {
            throw wrong(entry.data(), "not JSON: " + e.getOriginalMessage(), "the storages");
        }
        JsonObject json = JsonObject.of(path, "", parsed);
        Map<String, CarriedFile.Storage> storages = new LinkedHashMap<>();
        for (String key : json.names()) {
            JsonObject storage = json.object(key);
            long size = storage.number("size");
            if (size < 0) {
                throw storage.wrong("size", Long.toString(size), "0 or more bytes");
            }
            List<Content> contents = new ArrayList<>();
            long end = 0;
            for (JsonObject content : storage.objects("content")) {
                Content next = content(content, size);
                if (next.offset() < end) {
                    throw content.wrong(
                            "offset",
                            Long.toString(next.offset()),
                            "%d or more, where what is before it ends".formatted(end));
                }
                contents.add(next);
                end = next.offset() + sizeOf(next);
            }
            storages.put(key, new CarriedFile.Storage(size, contents));
        }
        return storages;
    }

    private Content content(JsonObject json, long size) throws MalformedFileException {
        long offset = json.number("offset");
        Content content;
        if (json.has("entry")) {
            ZipForm.Entry entry = entry(json.text("entry"));
            content = new Content.Raw(offset, archive, entry.data(), entry.size());
        } else {
            content = new Content.Elements(offset, elements(json));
        }
        if (offset < 0 || offset > size || sizeOf(content) > size - offset) {
            throw json.wrong("offset", Long.toString(offset), "within %d bytes".formatted(size));
        }
        return content;
    }

    private static long sizeOf(Content content) {
        return switch (content) {
            case Content.Raw raw -> raw.size();
            case Content.Elements elements -> elements.of().size();
        };
    }

    private Elementwise elements(JsonObject json) throws MalformedFileException {
        String name = json.text("parameter");
        ParameterFacts facts = parameters.get(name);
        String state = json.text("state");
        if (facts == null || !facts.states().containsKey(state)) {
            throw json.wrong(
                    "parameter",
                    "\"%s\", state \"%s\"".formatted(name, state),
                    "a state that the manifest has");
        }
        long count = json.number("count");
        List<Piece> pieces = new ArrayList<>();
        long held = 0;
        for (JsonObject piece : json.objects("pieces")) {
            try {
                pieces.add(piece(piece, facts.shape().count(), count));
                held = Math.addExact(held, pieces.getLast().count());
            } catch (IllegalArgumentException | ArithmeticException e) {
                throw piece.wrong("start", "no box: " + e.getMessage(), "one in the parameter");
            }
        }
        if (count < 0 || held != count || count > Long.MAX_VALUE / 16) {
            throw json.wrong("count", Long.toString(count), "the pieces' %d".formatted(held));
        }
        return new Elementwise(name, state, ManifestFacts.dtype(json), count, pieces);
    }

    /// @param whole elements of the parameter
    /// @param count local positions
    private static Piece piece(JsonObject json, long whole, long count)
            throws MalformedFileException {
        long[] grid = json.numbers("grid");
        long[] start = json.numbers("start");
        long[] extent = json.numbers("extent");
        long[] stride = json.numbers("stride");
        long position = json.number("position");
        if (start.length != grid.length
                || extent.length != grid.length
                || stride.length != grid.length) {
            throw json.wrong("grid", "of %d dims".formatted(grid.length), "as many as the others");
        }
        long product = 1;
        long last = position;
        boolean empty = false;
        for (int d = 0; d < grid.length; d++) {
            product = Math.multiplyExact(product, grid[d]);
            empty |= extent[d] == 0;
            if (grid[d] < 0 || stride[d] < 0) {
                throw json.wrong("stride", Long.toString(stride[d]), "0 or more");
            }
            long steps = Math.max(0, extent[d] - 1);
            last = Math.addExact(last, Math.multiplyExact(steps, stride[d]));
        }
        if (product != whole) {
            throw json.wrong("grid", "%d elements".formatted(product), "%d".formatted(whole));
        }
        if (position < 0 || (!empty && last >= count)) {
            throw json.wrong("position", Long.toString(position), "all within %d".formatted(count));
        }
        return Piece.of(grid, start, extent, position, stride);
    }

    private ZipForm.Entry entry(String name) throws MalformedFileException {
        ZipForm.Entry entry = entries.get(name);
        if (entry == null) {
            throw wrong(-1, "no entry \"%s\"".formatted(name), "one");
        }
        return entry;
    }

    private byte[] bytes(ZipForm.Entry entry) throws IOException {
        if (entry.size() > LONGEST_TREE) {
            throw wrong(entry.header(), "%d bytes".formatted(entry.size()), "at most 1 GiB");
        }
        byte[] bytes = Channels.read(channel, path, entry.data(), (int) entry.size());
        CRC32 crc = new CRC32();
        crc.update(bytes);
        checkCrc(entry, crc);
        return bytes;
    }

    private void checkCrc(ZipForm.Entry entry, CRC32 crc) throws MalformedFileException {
        if ((int) crc.getValue() != entry.crc()) {
            throw wrong(
                    entry.data(),
                    "\"%s\" has the CRC-32 %08x".formatted(entry.name(), crc.getValue()),
                    "%08x".formatted(entry.crc()));
        }
    }

    private MalformedFileException wrong(long offset, String found, String expected) {
        return new MalformedFileException(path, offset, found, expected, COPY);
    }
}
