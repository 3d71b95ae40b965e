package io.ucp.formats.universal;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.Elementwise;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.torch.TreeJson;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PickleWriter;
import io.ucp.io.ByteSource;
import io.ucp.io.ChecksumField;
import io.ucp.tensor.Piece;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32;

/// A carried file as a zip archive. A torch file becomes `tree.pkl` (its pickled object),
/// `tree.json` (the same, to be read by people), `storages.json` (what its storages hold: elements
/// of parameters, by reference, or entries of the archive) and `data/0`, `data/1`, ..; any other
/// file is `content`.
final class CarriedArchive {
    static final String TREE = "tree.pkl";
    static final String READABLE_TREE = "tree.json";
    static final String STORAGES = "storages.json";
    static final String DATA = "data/";
    static final String CONTENT = "content";

    private final String path;
    private final List<ZipForm.Entry> entries = new ArrayList<>();
    private final List<Part> parts = new ArrayList<>();
    private final List<Copied> copies = new ArrayList<>();
    private long at;

    private CarriedArchive(String path) {
        this.path = path;
    }

    /// An entry whose CRC-32 is known only when it has been written.
    private record Copied(int entry, long data, long size) {}

    static TargetFile layout(String path, CarriedFile carried) {
        CarriedArchive archive = new CarriedArchive(path);
        if (carried.root().isPresent()) {
            archive.known(TREE, PickleWriter.write(carried.root().get()));
            archive.known(READABLE_TREE, readable(carried.root().get()));
            archive.torch(carried);
        } else {
            ByteSource file =
                    carried.file()
                            .orElseThrow(
                                    () ->
                                            new IllegalArgumentException(
                                                    carried.path() + " has no content"));
            archive.copied(CONTENT, file, 0, file.size());
        }
        return archive.finish();
    }

    private static byte[] readable(PickleValue root) {
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        try (JsonGenerator out = TreeJson.factory().createGenerator(text)) {
            out.useDefaultPrettyPrinter();
            TreeJson.write(out, root);
        } catch (IOException e) {
            throw new UncheckedIOException("writing to memory", e);
        }
        return text.toByteArray();
    }

    private void torch(CarriedFile carried) {
        List<Content.Raw> raws = new ArrayList<>();
        String storages = Json.text(out -> storages(out, carried.storages(), raws));
        known(STORAGES, storages.getBytes(StandardCharsets.US_ASCII));
        for (int i = 0; i < raws.size(); i++) {
            Content.Raw raw = raws.get(i);
            copied(DATA + i, raw.source(), raw.sourceOffset(), raw.size());
        }
    }

    private static void storages(
            JsonGenerator out, Map<String, CarriedFile.Storage> storages, List<Content.Raw> raws)
            throws IOException {
        out.writeStartObject();
        // By number where they are numbers: 2 before 10.
        List<String> keys = new ArrayList<>(storages.keySet());
        keys.sort(Comparator.comparingInt(String::length).thenComparing(Comparator.naturalOrder()));
        for (String key : keys) {
            CarriedFile.Storage storage = Optional.ofNullable(storages.get(key)).orElseThrow();
            out.writeObjectFieldStart(key);
            out.writeNumberField("size", storage.size());
            out.writeArrayFieldStart("content");
            for (Content content : storage.content()) {
                out.writeStartObject();
                out.writeNumberField("offset", content.offset());
                switch (content) {
                    case Content.Raw raw -> {
                        out.writeStringField("entry", DATA + raws.size());
                        raws.add(raw);
                    }
                    case Content.Elements(_, Elementwise of) -> elements(out, of);
                }
                out.writeEndObject();
            }
            out.writeEndArray();
            out.writeEndObject();
        }
        out.writeEndObject();
    }

    private static void elements(JsonGenerator out, Elementwise of) throws IOException {
        out.writeStringField("parameter", of.parameter());
        out.writeStringField("state", of.state());
        out.writeStringField("dtype", of.dtype().torchName());
        out.writeNumberField("count", of.count());
        out.writeArrayFieldStart("pieces");
        for (Piece piece : of.pieces()) {
            out.writeStartObject();
            Json.longs(out, "grid", piece.grid());
            Json.longs(out, "start", piece.start());
            Json.longs(out, "extent", piece.extent());
            out.writeNumberField("position", piece.localOffset());
            Json.longs(out, "stride", piece.localStride());
            out.writeEndObject();
        }
        out.writeEndArray();
    }

    private void known(String name, byte[] bytes) {
        CRC32 crc = new CRC32();
        crc.update(bytes);
        header(name, bytes.length, (int) crc.getValue());
        literal(bytes);
    }

    private void copied(String name, ByteSource source, long offset, long size) {
        header(name, size, 0);
        if (size > 0) {
            copies.add(new Copied(entries.size() - 1, at, size));
            parts.add(new Part.Copied(at, source, offset, size));
            at = Math.addExact(at, size);
        }
    }

    private void header(String name, long size, int crc) {
        entries.add(new ZipForm.Entry(name, at, size, crc));
        literal(ZipForm.localHeader(name, size, crc));
    }

    private void literal(byte[] bytes) {
        if (bytes.length > 0) {
            parts.add(new Part.Literal(at, bytes));
            at += bytes.length;
        }
    }

    private TargetFile finish() {
        long[] central = new long[entries.size()];
        long directory = at;
        for (int e = 0; e < central.length; e++) {
            central[e] = directory;
            directory += ZipForm.centralHeader(entries.get(e)).length;
        }
        literal(ZipForm.tail(entries));
        List<ChecksumField> checksums = new ArrayList<>();
        for (Copied copy : copies) {
            List<Long> fields =
                    Arrays.asList(
                            entries.get(copy.entry()).header() + ZipForm.LOCAL_CRC,
                            central[copy.entry()] + ZipForm.CENTRAL_CRC);
            checksums.add(new ChecksumField(copy.data(), copy.size(), fields));
        }
        return new TargetFile(path, at, parts, checksums, Optional.empty());
    }
}
