package io.ucp.formats.universal;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;

import io.ucp.formats.Coordinate;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.Scalar;
import io.ucp.io.MalformedFileException;
import io.ucp.io.WholeFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// Reads `manifest.json`, believing nothing of it; what it says of other files is checked against
/// those by [StateFileCheck].
final class ManifestReader {
    private static final int LONGEST = 1 << 30;
    private static final String COPY = "copy the checkpoint again";
    private static final String NEWER = "read it with the ucp that wrote it, or a later one";

    private final Path file;

    private ManifestReader(Path file) {
        this.file = file;
    }

    static Manifest read(Path folder) throws IOException {
        ManifestReader reader = new ManifestReader(folder.resolve(Manifest.FILE));
        long size = Files.size(reader.file);
        if (size > LONGEST) {
            throw reader.wrong(-1, "%d bytes".formatted(size), "at most %d".formatted(LONGEST), "");
        }
        byte[] text = WholeFile.read(reader.file);
        reader.checkVersion(text);
        reader.checkSum(text);
        try {
            return reader.parse(text);
        } catch (JsonProcessingException e) {
            throw reader.wrong(place(e), "not JSON: " + e.getOriginalMessage(), "a manifest", COPY);
        }
    }

    /// Before anything else: a newer version may be checked in other ways.
    private void checkVersion(byte[] text) throws IOException {
        Optional<Head> head = Head.of(text);
        if (head.isEmpty()) {
            throw wrong(
                    0,
                    "it does not begin with a format, a version and a tag",
                    "the manifest of a universal checkpoint",
                    COPY);
        }
        long version = head.get().version();
        if (version > Manifest.VERSION) {
            throw wrong(
                    -1,
                    "version %d of the universal format".formatted(version),
                    "version %d, the newest that this ucp reads".formatted(Manifest.VERSION),
                    NEWER);
        }
        if (version < Manifest.VERSION) {
            throw wrong(
                    -1,
                    "version %d of the universal format".formatted(version),
                    "version %d, the oldest that this ucp reads".formatted(Manifest.VERSION),
                    "convert it with an earlier ucp first");
        }
    }

    private void checkSum(byte[] text) throws MalformedFileException {
        int lineLength = ManifestText.lastLine(0).length();
        int before = text.length - lineLength;
        String found =
                before < 0 ? "" : new String(text, before, lineLength, StandardCharsets.ISO_8859_1);
        String expected =
                ManifestText.lastLine(ArrowFraming.checksum(text, 0, Math.max(0, before)));
        if (!found.equals(expected)) {
            throw wrong(
                    Math.max(0, before),
                    "the checksum does not match: the manifest was cut short or changed",
                    "its last line to be " + expected.strip(),
                    COPY);
        }
    }

    /// The members that come first and say what a manifest is.
    ///
    /// @param tag empty where the text ends before it
    record Head(long version, String tag) {
        /// Empty where `text`, the beginning of a file, is not one of ours.
        static Optional<Head> of(byte[] text) throws IOException {
            long version = -1;
            try (JsonParser parser = Json.parser(text)) {
                if (parser.nextToken() != JsonToken.START_OBJECT
                        || !"format".equals(parser.nextFieldName())
                        || !Manifest.FORMAT.equals(parser.nextTextValue())
                        || !"version".equals(parser.nextFieldName())
                        || parser.nextToken() != JsonToken.VALUE_NUMBER_INT) {
                    return Optional.empty();
                }
                version = parser.getLongValue();
                boolean tagged = "tag".equals(parser.nextFieldName());
                String tag = tagged ? parser.nextTextValue() : null;
                return Optional.of(new Head(version, tag == null ? "" : tag));
            } catch (JsonProcessingException _) {
                return version < 0 ? Optional.empty() : Optional.of(new Head(version, ""));
            }
        }
    }

    private Manifest parse(byte[] text) throws IOException {
        Map<String, @Nullable Object> rest = new HashMap<>();
        List<Manifest.Held> parameters = new ArrayList<>();
        try (JsonParser parser = Json.parser(text)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                if (name.equals("parameters") && parser.currentToken() == JsonToken.START_ARRAY) {
                    // One at a time: there may be many thousands.
                    while (parser.nextToken() != JsonToken.END_ARRAY) {
                        String place = "parameters[%d]".formatted(parameters.size());
                        parameters.add(parameter(JsonObject.of(file, place, Json.value(parser))));
                    }
                } else {
                    rest.put(name, Json.value(parser));
                }
            }
            if (parser.nextToken() != null) {
                throw wrong(-1, "text after the end of the object", "nothing", COPY);
            }
        }
        JsonObject top = JsonObject.of(file, "", rest);
        checkUnique(parameters);
        if (!top.text("digest").equals(Manifest.DIGEST)) {
            throw top.wrong("digest", "\"" + top.text("digest") + "\"", Manifest.DIGEST);
        }
        return new Manifest(
                tag(top),
                top.optionalNumber("iteration"),
                top.text("digest"),
                ManifestFacts.origin(top.object("origin")),
                ManifestFacts.hints(top.object("hints")),
                files(top),
                parameters,
                carried(top));
    }

    /// It becomes the name of a folder.
    private static String tag(JsonObject top) throws MalformedFileException {
        String tag = top.text("tag");
        if (tag.contains("/") || !PathNames.staysInside(tag)) {
            throw top.wrong("tag", "\"" + tag + "\"", "the name of a folder");
        }
        return tag;
    }

    private void checkUnique(List<Manifest.Held> parameters) throws MalformedFileException {
        Set<String> names = new HashSet<>();
        for (Manifest.Held held : parameters) {
            if (!names.add(held.facts().name())) {
                throw wrong(
                        -1,
                        "two parameters are named \"%s\"".formatted(held.facts().name()),
                        "each name once",
                        COPY);
            }
        }
    }

    private List<Manifest.ArrowFile> files(JsonObject top) throws MalformedFileException {
        List<Manifest.ArrowFile> files = new ArrayList<>();
        Set<String> paths = new HashSet<>();
        for (JsonObject json : top.objects("files")) {
            String path = ManifestFacts.inside(json, "path");
            if (!paths.add(path)) {
                throw json.wrong("path", "\"" + path + "\" again", "each file once");
            }
            DType dtype = ManifestFacts.dtype(json);
            String text = json.text("compression");
            Compression compression = Compression.of(text).orElse(null);
            if (compression == null) {
                throw wrong(
                        -1,
                        "compression \"%s\" of %s".formatted(text, path),
                        "one that this ucp reads: none, zstd or zstd+shuffle",
                        NEWER);
            }
            if (compression.on(dtype) != compression) {
                throw json.wrong(
                        "compression",
                        "\"%s\" of %s".formatted(text, dtype.torchName()),
                        "it for elements of 2 and 4 bytes alone");
            }
            files.add(
                    new Manifest.ArrowFile(
                            path,
                            json.text("state"),
                            dtype,
                            compression,
                            json.integer("batches", 0, Integer.MAX_VALUE),
                            compression.compresses()
                                    ? -1
                                    : ManifestFacts.atLeastZero(json, "size")));
        }
        return files;
    }

    private Manifest.Held parameter(JsonObject json) throws MalformedFileException {
        Shape shape = ManifestFacts.shape(json, "shape");
        Shape realShape = json.has("realShape") ? ManifestFacts.shape(json, "realShape") : shape;
        boolean fits = realShape.rank() == shape.rank();
        for (int d = 0; fits && d < shape.rank(); d++) {
            fits = realShape.dim(d) <= shape.dim(d);
        }
        if (!fits) {
            throw json.wrong("realShape", realShape.toString(), "no more than " + shape);
        }
        Map<String, DType> states = new LinkedHashMap<>();
        Map<String, Manifest.Place> places = new LinkedHashMap<>();
        Map<String, String> digests = new HashMap<>();
        JsonObject jsonStates = json.object("states");
        for (String name : jsonStates.names()) {
            JsonObject state = jsonStates.object(name);
            DType dtype = ManifestFacts.dtype(state);
            states.put(name, dtype);
            long size = ManifestFacts.atLeastZero(state, "size");
            if (size % dtype.width() != 0 || size / dtype.width() != shape.count()) {
                throw state.wrong(
                        "size",
                        Long.toString(size),
                        "the bytes of %s %s".formatted(dtype.torchName(), shape));
            }
            places.put(
                    name,
                    new Manifest.Place(
                            ManifestFacts.inside(state, "file"),
                            state.integer("batch", 0, Integer.MAX_VALUE),
                            state.integer("batches", 1, Integer.MAX_VALUE),
                            state.has("offset") ? ManifestFacts.atLeastZero(state, "offset") : -1));
            Optional<String> digest = state.optionalText("digest");
            if (digest.isPresent()) {
                digests.put(name, digest.get());
            }
            Optional<String> padded = state.optionalText("paddedDigest");
            if (padded.isPresent()) {
                digests.put(ParameterFacts.withPadding(name), padded.get());
            }
        }
        ParameterFacts facts =
                new ParameterFacts(
                        json.text("name"),
                        shape,
                        realShape,
                        states,
                        scalars(json.object("scalars")),
                        ManifestFacts.split(json.object("split")),
                        json.truth("trainable"),
                        json.truth("buffer"),
                        json.integer("group", -1, Integer.MAX_VALUE),
                        json.texts("aliases"),
                        digests,
                        json.texts("notes"));
        return new Manifest.Held(facts, places);
    }

    private Map<String, Scalar> scalars(JsonObject json) throws MalformedFileException {
        Map<String, Scalar> scalars = new LinkedHashMap<>();
        for (String name : json.names()) {
            JsonObject scalar = json.object(name);
            String hex = scalar.text("bytes");
            try {
                scalars.put(
                        name,
                        new Scalar(ManifestFacts.dtype(scalar), HexFormat.of().parseHex(hex)));
            } catch (IllegalArgumentException _) {
                throw scalar.wrong("bytes", "\"" + hex + "\"", "the bytes of one in hexadecimal");
            }
        }
        return scalars;
    }

    private List<Manifest.Carried> carried(JsonObject top) throws MalformedFileException {
        List<Manifest.Carried> carried = new ArrayList<>();
        Set<String> paths = new HashSet<>();
        for (JsonObject json : top.objects("carried")) {
            String path = ManifestFacts.inside(json, "path");
            if (!paths.add(path)) {
                throw json.wrong("path", "\"" + path + "\" again", "each file once");
            }
            JsonObject at = json.object("at");
            Map<String, Integer> indices = new HashMap<>();
            for (String axis : at.names()) {
                indices.put(axis, at.integer(axis, 0, Integer.MAX_VALUE));
            }
            carried.add(
                    new Manifest.Carried(
                            path,
                            json.text("role"),
                            new Coordinate(indices),
                            ManifestFacts.inside(json, "archive")));
        }
        return carried;
    }

    private static long place(JsonProcessingException e) {
        return e.getLocation() == null ? -1 : e.getLocation().getByteOffset();
    }

    private MalformedFileException wrong(
            long offset, String found, String expected, String remedy) {
        return new MalformedFileException(file, offset, found, expected, remedy);
    }
}
