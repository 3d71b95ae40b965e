package io.ucp.parity;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;

import io.ucp.parity.ParityManifest.Pointer;
import io.ucp.parity.ParitySet.Member;
import io.ucp.tensor.TensorDigest;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;

/// The manifest as JSON. Its last field is a digest of every byte before that field.
final class ManifestWriter {
    static final String NAME = "ucp-parity";
    static final int VERSION = 1;

    /// What comes between the digested bytes and the digest.
    static final String DIGEST = ",\n  \"digest\" : \"";

    static final String END = "\"\n}\n";

    private ManifestWriter() {}

    static byte[] bytes(ParityManifest manifest) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(out)) {
            json.setPrettyPrinter(
                    new DefaultPrettyPrinter().withObjectIndenter(new DefaultIndenter("  ", "\n")));
            write(json, manifest);
        } catch (IOException e) {
            throw new UncheckedIOException(e); // memory does not fail
        }
        String text = out.toString(StandardCharsets.UTF_8);
        String body = text.substring(0, text.lastIndexOf("\n}"));
        return (body + DIGEST + digest(body.getBytes(StandardCharsets.UTF_8)) + END)
                .getBytes(StandardCharsets.UTF_8);
    }

    static String digest(byte[] body) {
        return HexFormat.of().toHexDigits(BlockDigests.of(ByteBuffer.wrap(body)));
    }

    private static void write(JsonGenerator json, ParityManifest manifest) throws IOException {
        json.writeStartObject();
        json.writeStringField("kind", NAME);
        json.writeNumberField("version", VERSION);
        json.writeStringField("format", manifest.format());
        json.writeStringField("tag", manifest.tag());
        json.writeStringField("folder", manifest.folder());
        json.writeStringField("group", manifest.group());
        json.writeNumberField("data", manifest.data());
        json.writeNumberField("parity", manifest.parity());
        json.writeStringField("code", ParityManifest.CODE);
        json.writeNumberField("block_size", manifest.blockSize());
        json.writeStringField("digests", TensorDigest.NAME);
        json.writeArrayFieldStart("pointers");
        for (Pointer pointer : manifest.pointers()) {
            json.writeStartObject();
            json.writeStringField("path", pointer.path());
            json.writeStringField("text", pointer.text());
            json.writeEndObject();
        }
        json.writeEndArray();
        json.writeArrayFieldStart("sets");
        for (ParitySet set : manifest.sets()) {
            json.writeStartObject();
            json.writeStringField("name", set.name());
            json.writeArrayFieldStart("members");
            for (Member member : set.members()) {
                json.writeStartObject();
                json.writeStringField("name", member.name());
                files(json, "files", member.files());
                json.writeEndObject();
            }
            json.writeEndArray();
            files(json, "parity", set.parity());
            json.writeEndObject();
        }
        json.writeEndArray();
        json.writeEndObject();
    }

    private static void files(JsonGenerator json, String field, List<StoredFile> files)
            throws IOException {
        json.writeArrayFieldStart(field);
        for (StoredFile file : files) {
            json.writeStartObject();
            json.writeStringField("path", file.path());
            json.writeNumberField("size", file.size());
            if (file.modified() != StoredFile.UNKNOWN) {
                json.writeNumberField("modified", file.modified());
            }
            json.writeStringField("digest", file.digest());
            json.writeStringField("blocks", file.blocks().text());
            json.writeEndObject();
        }
        json.writeEndArray();
    }
}
