package io.ucp.convert;

import com.fasterxml.jackson.core.JsonEncoding;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.ucp.formats.RefusedException;
import io.ucp.io.FileStamp;
import io.ucp.io.WholeFile;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;

/// What a run that is cut off leaves beside its journal, so that the next one can tell whether it
/// is the same job.
///
/// @param plan digest of the plan
/// @param windowBytes the windows that the journal counts
/// @param process that writes or wrote it: `process 123`
/// @param source the checkpoint
/// @param format of the target
record JobRecord(
        String plan,
        int windowBytes,
        String process,
        String source,
        String format,
        SourceState state) {
    private static final int VERSION = 1;
    private static final JsonFactory FACTORY =
            JsonFactory.builder()
                    .disable(JsonFactory.Feature.CHARSET_DETECTION) // UTF-8 and nothing else
                    .build();

    static JobRecord of(
            Prepared prepared, Fingerprint fingerprint, SourceState state, RunOptions options) {
        return new JobRecord(
                fingerprint.digest(),
                options.windowBytes(),
                "process %d".formatted(ProcessHandle.current().pid()),
                prepared.inventory().index().folder().toString(),
                prepared.request().to(),
                state);
    }

    byte[] json() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = FACTORY.createGenerator(bytes, JsonEncoding.UTF8)) {
            json.setPrettyPrinter(new DefaultPrettyPrinter());
            json.writeStartObject();
            json.writeNumberField("ucp_job", VERSION);
            json.writeStringField("plan", plan);
            json.writeNumberField("window_bytes", windowBytes);
            json.writeStringField("process", process);
            json.writeStringField("source", source);
            json.writeStringField("format", format);
            json.writeObjectFieldStart("files");
            for (Map.Entry<String, SourceState.File> entry : state.files().entrySet()) {
                FileStamp stamp = entry.getValue().stamp();
                json.writeObjectFieldStart(entry.getKey());
                json.writeNumberField("size", stamp.size());
                json.writeStringField("modified", stamp.modified());
                json.writeStringField("identity", stamp.identity());
                json.writeNumberField("edges", entry.getValue().edges());
                json.writeEndObject();
            }
            json.writeEndObject();
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException("writing to memory", e);
        }
        return bytes.toByteArray();
    }

    /// What lies there; empty where it is no such record, or one that was not finished.
    static Optional<JobRecord> read(Path file) throws IOException {
        if (!Files.isRegularFile(file)) {
            return Optional.empty();
        }
        JsonNode json;
        try {
            json = new JsonMapper(FACTORY).readTree(WholeFile.read(file));
        } catch (JsonProcessingException e) {
            return Optional.empty();
        }
        if (json == null || json.path("ucp_job").asInt() != VERSION) {
            return Optional.empty();
        }
        SequencedMap<String, SourceState.File> files = new TreeMap<>();
        for (Map.Entry<String, JsonNode> entry : json.path("files").properties()) {
            JsonNode of = entry.getValue();
            files.put(
                    entry.getKey(),
                    new SourceState.File(
                            new FileStamp(
                                    of.path("size").asLong(),
                                    of.path("modified").asText(),
                                    of.path("identity").asText()),
                            of.path("edges").asInt()));
        }
        return Optional.of(
                new JobRecord(
                        json.path("plan").asText(),
                        json.path("window_bytes").asInt(),
                        json.path("process").asText(),
                        json.path("source").asText(),
                        json.path("format").asText(),
                        new SourceState(files)));
    }

    /// Whether another run had the same source and the same plan.
    boolean isSame(JobRecord other) {
        return plan.equals(other.plan) && state.equals(other.state);
    }

    /// With the windows of the run that is gone on with, where they are no larger than these: how
    /// much memory was free then is no reason to refuse.
    ///
    /// @param output whose job was cut off
    static RunOptions inWindowsOf(Path output, RunOptions options) throws IOException {
        Path absolute = output.toAbsolutePath().normalize();
        if (options.output().leftover() != Leftover.RESUME || absolute.getFileName() == null) {
            return options;
        }
        return read(WorkFolder.beside(absolute).resolve("job.json"))
                .map(JobRecord::windowBytes)
                .filter(w -> w >= MemoryNeed.LEAST_WINDOW && w <= options.windowBytes())
                .map(options::withWindowBytes)
                .orElse(options);
    }

    /// @param before what the earlier run left
    /// @throws RefusedException where this job is another one, or its source changed
    void requireGoesOn(JobRecord before, Path work) {
        String remedy =
                "--restart removes what the earlier run wrote and begins again; it lies in " + work;
        // Another conversion may read other files of a source that is as it was.
        boolean other = !format.equals(before.format);
        if (!other) {
            state.requireSame(before.state, Path.of(source), remedy);
        }
        if (other || !plan.equals(before.plan)) {
            throw new RefusedException(
                    work.toString(),
                    "what lies there is of another conversion: %s to %s"
                            .formatted(before.source, before.format),
                    "the same source, format and options as before (--resume)",
                    remedy);
        }
        if (windowBytes != before.windowBytes) {
            throw new RefusedException(
                    work.toString(),
                    "what lies there was written in windows of %,d bytes"
                            .formatted(before.windowBytes),
                    "%,d".formatted(windowBytes),
                    "give it as much memory as before (--max-memory, or free some), or --restart");
        }
    }
}
