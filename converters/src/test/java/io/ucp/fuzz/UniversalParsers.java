package io.ucp.fuzz;

import static io.ucp.fuzz.ContainerParsers.RESOURCES;
import static io.ucp.fuzz.Parsers.SAMPLES;
import static io.ucp.fuzz.Parsers.index;
import static io.ucp.fuzz.Parsers.words;

import io.ucp.convert.Conversion;
import io.ucp.convert.Request;
import io.ucp.convert.Trees;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.io.ByteReader;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.stream.Stream;

/// What ucp's own form is made of, each beside the rest of a checkpoint that is whole.
final class UniversalParsers {
    private static final String MANIFEST = "manifest.json";
    private static final String TREE = "tree.pkl";
    private static final String STORAGES = "storages.json";

    private UniversalParsers() {}

    /// @param folder where seeds can be made
    static List<Parser> all(Path folder) throws IOException {
        Path small = Files.createDirectories(folder.resolve("small"));
        Files.write(small.resolve("model.safetensors"), ContainerParsers.small());
        Path plain = universal(small, folder.resolve("universal"), Map.of());
        Path compressed = universal(small, folder.resolve("zstd"), Map.of("compress", "zstd"));
        Path zeros = Files.createDirectories(folder.resolve("zeros"));
        Files.write(zeros.resolve("model.safetensors"), zeros());
        Path shuffled =
                universal(zeros, folder.resolve("shuffle"), Map.of("compress", "zstd+shuffle"));
        return List.of(
                universalManifest(plain, ranks(folder)),
                arrow("arrow", plain, true),
                arrow("arrow-zstd", compressed, false),
                arrow("arrow-shuffle", shuffled, false),
                carried(folder.resolve("training")));
    }

    /// Whose planes are smaller when compressed.
    private static byte[] zeros() {
        String header = "{\"a\":{\"dtype\":\"F32\",\"shape\":[64],\"data_offsets\":[0,256]}}";
        return ((char) header.length() + "\0".repeat(7) + header + "\0".repeat(256))
                .getBytes(StandardCharsets.ISO_8859_1);
    }

    private static Path universal(Path source, Path out, Map<String, String> options)
            throws IOException {
        Request request =
                new Request(
                        source, Optional.empty(), "universal", Optional.empty(), Map.of(), options);
        Conversion.run(Conversion.prepare(request), out, Parsers.quick(), (done, total) -> {});
        return out;
    }

    /// The manifest of a job's checkpoint, with the first and the last of its parameters.
    private static byte[] ranks(Path folder) throws IOException {
        Path source = SAMPLES.resolve("gpt2-zero2-tied-frozen/checkpoint");
        Path made = universal(source, folder.resolve("ranks"), Map.of());
        List<String> lines = Files.readAllLines(made.resolve(MANIFEST));
        int first = lines.indexOf("\"parameters\":[") + 1;
        int end = lines.indexOf("\"carried\":[");
        lines.subList(first + 1, end - 1).clear();
        return (String.join("\n", lines) + "\n").getBytes(StandardCharsets.UTF_8);
    }

    private static Parser universalManifest(Path universal, byte[] ranks) throws IOException {
        return new Parser(
                "manifest",
                List.of(Files.readAllBytes(universal.resolve(MANIFEST)), ranks),
                words(
                        "{",
                        "}",
                        "[",
                        "]",
                        "\"",
                        ",",
                        ":",
                        "null",
                        "-1",
                        "1e400",
                        "../",
                        "\\u0000",
                        "[[[[[[[[",
                        "9999999999999999999"),
                (input, folder) -> {
                    Path root = folder.resolve("universal");
                    if (!Files.exists(root)) {
                        Trees.copy(universal, root);
                    }
                    Files.write(root.resolve(MANIFEST), Seals.manifest(input));
                    index("universal", root);
                });
    }

    /// A state file, beside a manifest that says its size.
    ///
    /// @param sized whether it says so: of compressed ones it does not
    private static Parser arrow(String name, Path universal, boolean sized) throws IOException {
        Path file;
        try (Stream<Path> files = Files.list(universal.resolve("states"))) {
            file = files.sorted().findFirst().orElseThrow();
        }
        byte[] seed = Files.readAllBytes(file);
        String manifest =
                Files.readString(universal.resolve(MANIFEST), StandardCharsets.ISO_8859_1);
        SizeInManifest size =
                sized
                        ? SizeInManifest.of(
                                manifest, String.valueOf(file.getFileName()), seed.length)
                        : new SizeInManifest(manifest, Optional.empty(), "");
        return new Parser(
                name,
                List.of(seed),
                words("ARROW1\0\0", "ARROW1", "\u00ff\u00ff\u00ff\u00ff", "\0\0\0\0\0\0\0\0"),
                (input, folder) -> {
                    Path root = folder.resolve("universal");
                    if (!Files.exists(root)) {
                        Trees.copy(universal, root);
                    }
                    Files.write(
                            root.resolve("states").resolve(file.getFileName()), Seals.arrow(input));
                    byte[] fits = size.put(input.length).getBytes(StandardCharsets.ISO_8859_1);
                    Files.write(root.resolve(MANIFEST), Seals.manifest(fits));
                    CheckpointIndex index = index("universal", root);
                    values(index);
                    Parsers.damage("universal", index);
                });
    }

    /// A manifest around the size of one of its state files, where it says one.
    private record SizeInManifest(String before, Optional<String> size, String after) {
        /// @throws IllegalStateException where it does not say it: every input would be refused for
        ///   that alone
        static SizeInManifest of(String manifest, String file, int size) {
            int line = manifest.indexOf("\"path\":\"states/%s\"".formatted(file));
            int end = manifest.indexOf('}', line);
            String number = "\"size\":";
            int at = line < 0 ? -1 : manifest.lastIndexOf(number, end);
            if (at >= line && at >= 0) {
                String said = manifest.substring(at + number.length(), end);
                if (said.equals(Integer.toString(size))) {
                    return new SizeInManifest(
                            manifest.substring(0, end - said.length()),
                            Optional.of(said),
                            manifest.substring(end));
                }
            }
            throw new IllegalStateException("no size of %s in the manifest".formatted(file));
        }

        String put(int other) {
            return before + (size.isPresent() ? Integer.toString(other) : "") + after;
        }
    }

    /// Entries of an archive of what is no parameter, beside its manifest: its pickle, or JSON that
    /// says where the bytes of tensors in it are.
    private static Parser carried(Path folder) throws IOException {
        Path source = RESOURCES.resolve("io/ucp/formats/statedict/training.pt");
        Path universal = universal(source, folder, Map.of());
        Path file;
        try (Stream<Path> all = Files.walk(universal.resolve("carried"))) {
            file = all.filter(Files::isRegularFile).sorted().findFirst().orElseThrow();
        }
        SequencedMap<String, byte[]> entries = CanonicalZip.read(file);
        byte[] tree = Objects.requireNonNull(entries.get(TREE));
        byte[] storages = Objects.requireNonNull(entries.get(STORAGES));
        return new Parser(
                "carried",
                List.of(storages, tree),
                words(
                        "{",
                        "}",
                        "[",
                        "]",
                        ",",
                        "\"size\":",
                        "\"offset\":",
                        "\"entry\":\"data/0\"",
                        "\"pieces\":[",
                        "-1",
                        "9223372036854775807",
                        "h\0"),
                (input, scratch) -> {
                    Path root = scratch.resolve("universal");
                    if (!Files.exists(root)) {
                        Trees.copy(universal, root);
                    }
                    SequencedMap<String, byte[]> mutated = new LinkedHashMap<>(entries);
                    mutated.put(input.length > 0 && input[0] == '{' ? STORAGES : TREE, input);
                    Files.write(
                            root.resolve(universal.relativize(file).toString()),
                            CanonicalZip.write(mutated));
                    Parsers.damage("universal", index("universal", root));
                });
    }

    /// Reads the elements of every state.
    private static void values(CheckpointIndex index) throws IOException {
        for (WholeParameter whole : index.wholes()) {
            for (TensorEntry tensor : whole.tensors().values()) {
                try (ByteReader reader = tensor.source().open()) {
                    reader.read(
                            tensor.offset(), ByteBuffer.allocate(Math.toIntExact(tensor.size())));
                }
            }
        }
    }
}
