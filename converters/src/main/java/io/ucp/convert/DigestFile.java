package io.ucp.convert;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.io.JsonStringEncoder;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;

import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Parameter;
import io.ucp.formats.CheckpointIndex;
import io.ucp.io.MalformedFileException;
import io.ucp.io.WholeFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;
import io.ucp.tensor.TensorDigest;

import java.io.CharConversionException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/// Digests of a checkpoint's states in a file, to be kept and compared with later: JSON, a state a
/// line, sorted, so that two of them can be compared line by line too. `docs/reliability.md` has
/// its fields.
///
/// @param states by parameter, then state
/// @param files of the very copy that was recorded, by path; empty where only states were
public record DigestFile(List<State> states, List<FileState> files) {
    private static final String FORMAT = "ucp-digests";
    private static final String SCALAR = "scalar";
    private static final int VERSION = 1;
    private static final Set<String> FIELDS =
            Set.of("format", "version", "digest", "states", "files");
    private static final int LARGEST = 1 << 30;
    private static final String MISSING = "recorded, and not in the checkpoint";
    private static final String NOT_RECORDED = "in the checkpoint, and not recorded";

    public DigestFile {
        states =
                states.stream()
                        .sorted(Comparator.comparing(State::parameter).thenComparing(State::state))
                        .toList();
        files = files.stream().sorted(Comparator.comparing(FileState::path)).toList();
    }

    /// @param path relative to the checkpoint's folder, with `/`
    /// @param size bytes
    public record FileState(String path, long size, String digest) {
        private String differs(FileState kept) {
            return size == kept.size
                    ? "its bytes have digest %s; recorded was %s".formatted(digest, kept.digest)
                    : "%,d bytes; recorded were %,d".formatted(size, kept.size);
        }
    }

    /// @param dtype name of the element type, or `scalar`
    /// @param shape without padding; empty for scalars
    /// @param digest of the elements' bytes in row-major order; of a scalar, dtype and value
    public record State(String parameter, String state, String dtype, Shape shape, String digest) {
        private String differs(State kept) {
            if (!dtype.equals(kept.dtype) || !shape.equals(kept.shape)) {
                return "%s %s; recorded was %s %s".formatted(shape, dtype, kept.shape, kept.dtype);
            }
            return dtype.equals(SCALAR)
                    ? "%s; recorded was %s".formatted(digest, kept.digest)
                    : "its bytes have digest %s; recorded was %s".formatted(digest, kept.digest);
        }
    }

    /// @param digests parameter -> state -> digest, as [Digests#of] gives them
    public static DigestFile of(Inventory inventory, Map<String, Map<String, String>> digests) {
        List<State> states = new ArrayList<>();
        for (Parameter parameter : inventory.parameters()) {
            Map<String, String> own = digests.getOrDefault(parameter.name(), Map.of());
            for (Map.Entry<String, DType> state : parameter.facts().states().entrySet()) {
                states.add(
                        new State(
                                parameter.name(),
                                state.getKey(),
                                state.getValue().torchName(),
                                parameter.facts().realShape(),
                                own.getOrDefault(state.getKey(), "none")));
            }
            parameter
                    .facts()
                    .scalars()
                    .forEach(
                            (name, scalar) ->
                                    states.add(
                                            new State(
                                                    parameter.name(),
                                                    name,
                                                    SCALAR,
                                                    Shape.of(),
                                                    scalar.toString())));
        }
        return new DigestFile(states, List.of());
    }

    /// The same with every file of a checkpoint.
    public DigestFile withFiles(CheckpointIndex index) throws IOException {
        return new DigestFile(states, FileDigests.of(index));
    }

    /// One that is there stays until the new one is whole.
    public void write(Path file) throws IOException {
        StringBuilder json = new StringBuilder();
        json.append("{\n\"format\": \"").append(FORMAT).append("\",\n\"version\": ");
        json.append(VERSION).append(",\n\"digest\": \"").append(TensorDigest.NAME);
        json.append("\",\n\"states\": [");
        String separator = "\n";
        for (State state : states) {
            json.append(separator).append("{\"parameter\": \"").append(quoted(state.parameter()));
            json.append("\", \"state\": \"").append(quoted(state.state()));
            json.append("\", \"dtype\": \"").append(state.dtype());
            json.append("\", \"shape\": ").append(state.shape());
            json.append(", \"digest\": \"").append(quoted(state.digest())).append("\"}");
            separator = ",\n";
        }
        json.append("\n]");
        separator = ",\n\"files\": [\n";
        for (FileState each : files) {
            json.append(separator).append("{\"path\": \"").append(quoted(each.path()));
            json.append("\", \"size\": ").append(each.size());
            json.append(", \"digest\": \"").append(quoted(each.digest())).append("\"}");
            separator = ",\n";
        }
        json.append(files.isEmpty() ? "\n}\n" : "\n]\n}\n");
        if (Files.exists(file) && !Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            Files.writeString(file, json); // a pipe or a link
            return;
        }
        Path fresh = file.resolveSibling(".%s.ucp-new".formatted(file.getFileName()));
        try {
            Files.writeString(fresh, json);
            Files.move(
                    fresh,
                    file,
                    StandardCopyOption.ATOMIC_MOVE,
                    StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(fresh);
        }
    }

    private static String quoted(String text) {
        return new String(JsonStringEncoder.getInstance().quoteAsString(text));
    }

    /// @throws MalformedFileException where it is no such file
    public static DigestFile read(Path file) throws IOException {
        if (Files.size(file) > LARGEST) {
            throw malformed(file, "%,d bytes".formatted(Files.size(file)));
        }
        byte[] text = WholeFile.read(file);
        JsonNode json;
        try {
            JsonFactory factory =
                    JsonFactory.builder()
                            .disable(JsonFactory.Feature.CHARSET_DETECTION) // UTF-8, nothing else
                            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                            .build();
            json = new JsonMapper(factory).readTree(text);
        } catch (JsonProcessingException e) {
            throw malformed(file, e.getOriginalMessage());
        } catch (CharConversionException e) {
            throw malformed(file, "a text that is not UTF-8");
        }
        if (!json.path("format").asText().equals(FORMAT)) {
            throw malformed(file, "no `\"format\": \"%s\"`".formatted(FORMAT));
        }
        if (json.path("version").asInt() != VERSION
                || !json.path("digest").asText().equals(TensorDigest.NAME)) {
            throw malformed(
                    file,
                    "version %s of digest %s".formatted(json.path("version"), json.path("digest")));
        }
        for (Map.Entry<String, JsonNode> field : json.properties()) {
            if (!FIELDS.contains(field.getKey())) {
                throw malformed(file, "a field `%s`".formatted(field.getKey()));
            }
        }
        List<State> states = new ArrayList<>();
        for (JsonNode state : json.path("states")) {
            long[] dims = new long[state.path("shape").size()];
            for (int d = 0; d < dims.length; d++) {
                dims[d] = state.path("shape").path(d).asLong(-1);
                if (dims[d] < 0) {
                    throw malformed(file, "shape " + state.path("shape"));
                }
            }
            requireTexts(file, state, "a state", "parameter", "state", "dtype", "digest");
            states.add(
                    new State(
                            state.path("parameter").asText(),
                            state.path("state").asText(),
                            state.path("dtype").asText(),
                            shape(file, dims),
                            state.path("digest").asText()));
        }
        List<FileState> files = new ArrayList<>();
        for (JsonNode each : json.path("files")) {
            requireTexts(file, each, "a file", "path", "digest");
            if (!each.path("size").isIntegralNumber()) {
                throw malformed(file, "a file without `size`");
            }
            files.add(
                    new FileState(
                            each.path("path").asText(),
                            each.path("size").asLong(),
                            each.path("digest").asText()));
        }
        return new DigestFile(states, files);
    }

    private static void requireTexts(Path file, JsonNode of, String what, String... fields)
            throws MalformedFileException {
        for (String field : fields) {
            if (!of.path(field).isTextual()) {
                throw malformed(file, "%s without `%s`".formatted(what, field));
            }
        }
    }

    private static Shape shape(Path file, long[] dims) throws IOException {
        try {
            return Shape.of(dims);
        } catch (ArithmeticException e) {
            throw malformed(file, "a shape of more elements than there can be");
        }
    }

    private static MalformedFileException malformed(Path file, String found) {
        return new MalformedFileException(
                file,
                -1,
                found,
                "a digest file of version %d".formatted(VERSION),
                "`ucp digest CKPT --record FILE` writes one");
    }

    /// What another one says otherwise.
    List<Verification.Difference> differences(DigestFile now) {
        Map<List<String>, State> found = new HashMap<>();
        now.states.forEach(s -> found.put(List.of(s.parameter(), s.state()), s));
        List<Verification.Difference> differences = new ArrayList<>();
        for (State kept : states) {
            State state = found.remove(List.of(kept.parameter(), kept.state()));
            if (state == null) {
                differences.add(difference(kept, MISSING));
            } else if (!state.equals(kept)) {
                differences.add(difference(kept, state.differs(kept)));
            }
        }
        for (State state : now.states) {
            if (found.containsKey(List.of(state.parameter(), state.state()))) {
                differences.add(difference(state, NOT_RECORDED));
            }
        }
        differences.addAll(fileDifferences(now));
        return differences;
    }

    private List<Verification.Difference> fileDifferences(DigestFile now) {
        Map<String, FileState> found = new TreeMap<>();
        now.files.forEach(f -> found.put(f.path(), f));
        List<Verification.Difference> differences = new ArrayList<>();
        for (FileState kept : files) {
            FileState file = found.remove(kept.path());
            if (file == null) {
                differences.add(new Verification.Difference(kept.path(), "", MISSING));
            } else if (!file.equals(kept)) {
                differences.add(new Verification.Difference(kept.path(), "", file.differs(kept)));
            }
        }
        found.keySet()
                .forEach(p -> differences.add(new Verification.Difference(p, "", NOT_RECORDED)));
        return differences;
    }

    private static Verification.Difference difference(State state, String what) {
        return new Verification.Difference(state.parameter(), state.state(), what);
    }
}
