package io.ucp.formats.universal;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.Coordinate;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.Scalar;
import io.ucp.tensor.DType;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/// A manifest as text: JSON with a line for every file, parameter and carried file, so that two can
/// be compared with `diff`, and as its last line a checksum of all lines before.
final class ManifestText {
    private ManifestText() {}

    static byte[] write(Manifest manifest) {
        StringBuilder out = new StringBuilder("{\n");
        member(out, "format", o -> o.writeString(Manifest.FORMAT));
        member(out, "version", o -> o.writeNumber(Manifest.VERSION));
        member(out, "tag", o -> o.writeString(manifest.tag()));
        if (manifest.iteration().isPresent()) {
            member(out, "iteration", o -> o.writeNumber(manifest.iteration().getAsLong()));
        }
        member(out, "producer", o -> o.writeString(producer()));
        member(out, "digest", o -> o.writeString(manifest.digest()));
        member(out, "origin", o -> origin(o, manifest.origin()));
        member(out, "hints", o -> hints(o, manifest.hints()));
        lines(out, "files", manifest.files(), ManifestText::file);
        lines(out, "parameters", manifest.parameters(), ManifestText::parameter);
        lines(out, "carried", manifest.carried(), ManifestText::carried);
        byte[] body = out.toString().getBytes(StandardCharsets.US_ASCII);
        String last = lastLine(ArrowFraming.checksum(body, 0, body.length));
        return (out + last).getBytes(StandardCharsets.US_ASCII);
    }

    /// The last line of a manifest, its line end included.
    ///
    /// @param checksum CRC-32C of every byte before
    static String lastLine(int checksum) {
        return "\"checksum\":\"crc32c:%08x\"}\n".formatted(checksum);
    }

    private static String producer() {
        String version = ManifestText.class.getPackage().getImplementationVersion();
        return version == null ? "ucp" : "ucp " + version;
    }

    private interface Line<T> {
        void to(JsonGenerator out, T value) throws IOException;
    }

    private static void member(StringBuilder out, String name, Json.Writing value) {
        out.append('"').append(name).append("\":").append(Json.text(value)).append(",\n");
    }

    private static <T> void lines(StringBuilder out, String name, List<T> values, Line<T> line) {
        out.append('"').append(name).append("\":[");
        String between = "\n";
        for (T value : values) {
            out.append(between).append(Json.text(o -> line.to(o, value)));
            between = ",\n";
        }
        out.append("],\n");
    }

    private static void origin(JsonGenerator out, Origin origin) throws IOException {
        out.writeStartObject();
        out.writeStringField("format", origin.format());
        out.writeStringField("tag", origin.tag());
        out.writeNumberField("stage", origin.stage());
        out.writeArrayFieldStart("mesh");
        for (AxisDegree axis : origin.mesh()) {
            out.writeStartObject();
            out.writeStringField("axis", axis.axis());
            out.writeNumberField("degree", axis.degree());
            out.writeEndObject();
        }
        out.writeEndArray();
        if (origin.spec().isPresent()) {
            out.writeStringField("spec", origin.spec().get());
        }
        out.writeEndObject();
    }

    private static void hints(JsonGenerator out, LayoutHints hints) throws IOException {
        out.writeStartObject();
        if (hints.version().isPresent()) {
            out.writeStringField("version", hints.version().get());
        }
        out.writeArrayFieldStart("patterns");
        for (LayoutHints.Pattern pattern : hints.patterns()) {
            out.writeStartObject();
            out.writeStringField("kind", word(pattern.kind()));
            out.writeStringField("regex", pattern.regex());
            out.writeNumberField("dim", pattern.dim());
            Json.lists(out, "subShape", pattern.subShape());
            Json.lists(out, "widths", pattern.widths());
            out.writeEndObject();
        }
        out.writeEndArray();
        if (hints.vocabularyRows().isPresent()) {
            out.writeNumberField("vocabularyRows", hints.vocabularyRows().getAsLong());
        }
        out.writeObjectFieldStart("aliases");
        for (Map.Entry<String, String> alias : new TreeMap<>(hints.aliases()).entrySet()) {
            out.writeStringField(alias.getKey(), alias.getValue());
        }
        out.writeEndObject();
        Json.texts(out, "frozen", new TreeSet<>(hints.frozen()));
        Json.texts(out, "buffers", new TreeSet<>(hints.buffers()));
        out.writeObjectFieldStart("numbers");
        for (Map.Entry<String, Long> number : new TreeMap<>(hints.numbers()).entrySet()) {
            out.writeNumberField(number.getKey(), number.getValue());
        }
        out.writeEndObject();
        out.writeEndObject();
    }

    private static void file(JsonGenerator out, Manifest.ArrowFile file) throws IOException {
        out.writeStartObject();
        out.writeStringField("path", file.path());
        out.writeStringField("state", file.state());
        out.writeStringField("dtype", file.dtype().torchName());
        out.writeStringField("compression", file.compression().text());
        out.writeNumberField("batches", file.batches());
        if (file.size() >= 0) {
            out.writeNumberField("size", file.size());
        }
        out.writeEndObject();
    }

    private static void parameter(JsonGenerator out, Manifest.Held held) throws IOException {
        ParameterFacts facts = held.facts();
        out.writeStartObject();
        out.writeStringField("name", facts.name());
        Json.longs(out, "shape", facts.shape().dims());
        if (facts.padded()) {
            Json.longs(out, "realShape", facts.realShape().dims());
        }
        out.writeBooleanField("trainable", facts.trainable());
        out.writeBooleanField("buffer", facts.buffer());
        out.writeNumberField("group", facts.optimizerGroup());
        out.writeFieldName("split");
        split(out, facts.split());
        Json.texts(out, "aliases", facts.aliases());
        Json.texts(out, "notes", facts.notes());
        out.writeObjectFieldStart("states");
        for (Map.Entry<String, DType> state : facts.states().entrySet()) {
            Manifest.Place place = held.places().get(state.getKey());
            if (place == null) {
                throw new IllegalArgumentException(
                        facts.name() + "/" + state.getKey() + " has no place");
            }
            out.writeObjectFieldStart(state.getKey());
            out.writeStringField("dtype", state.getValue().torchName());
            out.writeStringField("file", place.file());
            out.writeNumberField("batch", place.firstBatch());
            out.writeNumberField("batches", place.batches());
            if (place.offset() >= 0) {
                out.writeNumberField("offset", place.offset());
            }
            out.writeNumberField("size", facts.shape().count() * state.getValue().width());
            String digest = facts.digests().get(state.getKey());
            if (digest != null) {
                out.writeStringField("digest", digest);
            }
            String padded = facts.digests().get(ParameterFacts.withPadding(state.getKey()));
            if (padded != null) {
                out.writeStringField("paddedDigest", padded);
            }
            out.writeEndObject();
        }
        out.writeEndObject();
        out.writeObjectFieldStart("scalars");
        for (Map.Entry<String, Scalar> scalar : facts.scalars().entrySet()) {
            out.writeObjectFieldStart(scalar.getKey());
            out.writeStringField("dtype", scalar.getValue().dtype().torchName());
            out.writeStringField("bytes", HexFormat.of().formatHex(scalar.getValue().bytes()));
            out.writeStringField("value", Scalars.readable(scalar.getValue()));
            out.writeEndObject();
        }
        out.writeEndObject();
        out.writeEndObject();
    }

    private static void split(JsonGenerator out, Split split) throws IOException {
        out.writeStartObject();
        out.writeStringField("kind", word(split.kind()));
        out.writeNumberField("dim", split.dim());
        Json.longs(out, "parts", split.parts());
        Json.lists(out, "subShape", split.subShape());
        out.writeBooleanField("vocabulary", split.vocabulary());
        if (split.experts().isPresent()) {
            out.writeNumberField("experts", split.experts().getAsLong());
        }
        out.writeEndObject();
    }

    private static void carried(JsonGenerator out, Manifest.Carried carried) throws IOException {
        out.writeStartObject();
        out.writeStringField("path", carried.path());
        out.writeStringField("role", carried.role());
        out.writeFieldName("at");
        coordinate(out, carried.at());
        out.writeStringField("archive", carried.archive());
        out.writeEndObject();
    }

    private static void coordinate(JsonGenerator out, Coordinate at) throws IOException {
        out.writeStartObject();
        for (Map.Entry<String, Integer> index : at.indices().entrySet()) {
            out.writeNumberField(index.getKey(), index.getValue());
        }
        out.writeEndObject();
    }

    static String word(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT);
    }
}
