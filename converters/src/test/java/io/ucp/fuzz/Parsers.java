package io.ucp.fuzz;

import io.ucp.convert.Conversion;
import io.ucp.convert.DigestFile;
import io.ucp.convert.Leftover;
import io.ucp.convert.OpenedSource;
import io.ucp.convert.OutputFolder;
import io.ucp.convert.Request;
import io.ucp.convert.RunOptions;
import io.ucp.execute.Journal;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchRecord;
import io.ucp.formats.torch.pickle.PickleReader;
import io.ucp.lang.Ucl;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.parity.Grouping;
import io.ucp.parity.ProtectedCheckpoint;
import io.ucp.parity.Protection;
import io.ucp.plan.CopyPlan;
import io.ucp.tensor.Crc;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/// Every parser of ucp, with seeds that it made itself or that the samples hold.
final class Parsers {
    private static final String SEAL = ",\n  \"digest\" : \"";
    private static final String CHECKSUM = "\"checksum\":\"crc32c:";
    private static final Path SAMPLES = Path.of("../samples");

    private Parsers() {}

    /// @param folder where seeds can be made
    static List<Parser> all(Path folder) throws IOException {
        Path universal = universal(folder.resolve("universal"));
        return List.of(
                pickle(),
                torch(),
                universalManifest(universal),
                arrow(universal),
                metadata(),
                ucl(),
                safetensors(),
                parity(folder.resolve("parity")),
                weightsIndex(),
                digests(folder.resolve("digests.json")),
                journal());
    }

    /// What says which of a model's files holds which tensor.
    private static Parser weightsIndex() throws IOException {
        String name = "model.safetensors.index.json";
        Path sample = SAMPLES.resolve("hf-llama-sharded/checkpoint");
        return new Parser(
                "json",
                List.of(Files.readAllBytes(sample.resolve(name))),
                words("{", "}", "[", "]", "\"", ",", ":", "../", "\\u0000", "1e999", "null"),
                (input, folder) -> index(folder, name, input));
    }

    /// What `ucp digest --record` wrote.
    private static Parser digests(Path file) throws IOException {
        OpenedSource source =
                OpenedSource.open(SAMPLES.resolve("hf-gpt2-tied/checkpoint"), Optional.empty());
        DigestFile.State state =
                new DigestFile.State("a", "fp32", "float32", Shape.of(2, 3), "0123456789abcdef");
        new DigestFile(List.of(state), List.of()).withFiles(source.index()).write(file);
        return new Parser(
                "digests",
                List.of(Files.readAllBytes(file)),
                words("{", "}", "[", "]", "\"", ",", ":", "-1", "1e999", "null"),
                (input, folder) -> {
                    Path read = folder.resolve("digests.json");
                    Files.write(read, input);
                    DigestFile.read(read);
                });
    }

    /// What a conversion that was cut off has left of its journal: any bytes are one.
    private static Parser journal() throws IOException {
        CopyPlan plan =
                Conversion.prepare(universalRequest(SAMPLES.resolve("hf-gpt2-tied/checkpoint")))
                        .plan();
        return new Parser(
                "journal",
                List.of(new byte[12], new byte[600]),
                words("\0\0\0\0", "\u00ff\u00ff\u00ff\u007f"),
                (input, folder) -> {
                    Path file = folder.resolve("journal");
                    Files.write(file, input);
                    try (Journal journal = Journal.open(file, plan, 4096)) {
                        if (journal.bytesClaimed() > input.length / 12L * Integer.MAX_VALUE) {
                            throw new IllegalStateException("more than its slots hold");
                        }
                    }
                });
    }

    private static Request universalRequest(Path source) {
        return new Request(
                source, Optional.empty(), "universal", Optional.empty(), Map.of(), Map.of());
    }

    private static RunOptions quick() {
        return RunOptions.standard()
                .withThreads(1)
                .withOutput(new OutputFolder.Rules(Leftover.REFUSE, false, false));
    }

    private static Path universal(Path out) throws IOException {
        Conversion.run(
                Conversion.prepare(universalRequest(SAMPLES.resolve("hf-gpt2-tied/checkpoint"))),
                out,
                quick(),
                (done, total) -> {});
        return out;
    }

    private static List<byte[]> words(String... words) {
        return Stream.of(words).map(w -> w.getBytes(StandardCharsets.ISO_8859_1)).toList();
    }

    private static List<Path> torchFiles() throws IOException {
        List<Path> files = new ArrayList<>();
        for (String at : List.of("../formats/src/test/resources", "../samples")) {
            try (Stream<Path> all = Files.walk(Path.of(at))) {
                files.addAll(
                        all.filter(p -> p.toString().endsWith(".pt"))
                                .filter(p -> p.toFile().length() < 100_000)
                                .sorted()
                                .limit(4)
                                .toList());
            }
        }
        return files;
    }

    private static Parser pickle() throws IOException {
        List<byte[]> seeds = new ArrayList<>();
        for (Path path : torchFiles()) {
            for (TorchRecord record : TorchFile.open(path).records()) {
                if (record.name().endsWith("data.pkl")) {
                    byte[] all = Files.readAllBytes(path);
                    int from = Math.toIntExact(record.offset());
                    seeds.add(Arrays.copyOfRange(all, from, from + Math.toIntExact(record.size())));
                }
            }
        }
        Path name = Path.of("data.pkl");
        return new Parser(
                "pickle",
                seeds,
                words(
                        "\u0080\2",
                        "(",
                        ")",
                        "t",
                        "d",
                        "l",
                        "}",
                        "]",
                        "s",
                        "u",
                        "e",
                        "a",
                        "q\0",
                        "h\0",
                        "r\0\0\0\0",
                        "j\0\0\0\0",
                        "\u0094",
                        "X\0\0\0\0",
                        "X\u00ff\u00ff\u00ff\u007f",
                        "K\1",
                        "M\1\1",
                        "J\1\1\1\1",
                        "\u008a\1\1",
                        "\u008b\u00ff\u00ff\u00ff\u007f",
                        "cos\nsystem\n",
                        "R",
                        "b",
                        "Q",
                        "\u0081",
                        "\u0085",
                        "\u0086",
                        "\u0087",
                        ".",
                        "0",
                        "2",
                        "1",
                        "N",
                        "\u0088",
                        "\u0089",
                        "G\0\0\0\0\0\0\0\0",
                        "\u0095\0\0\0\0\0\0\0\0",
                        "\u008f",
                        "\u0090",
                        "\u0091",
                        "\u008d\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f",
                        "B\u00ff\u00ff\u00ff\u00ff",
                        "\u0093"),
                (input, folder) -> PickleReader.read(name, 0, input));
    }

    private static Parser torch() throws IOException {
        List<byte[]> seeds = new ArrayList<>();
        for (Path path : torchFiles()) {
            byte[] bytes = Files.readAllBytes(path);
            if (bytes.length < 20_000) {
                seeds.add(bytes);
            }
        }
        return new Parser(
                "zip",
                seeds,
                words(
                        "PK\3\4",
                        "PK\1\2",
                        "PK\5\6",
                        "PK\6\6",
                        "PK\6\7",
                        "PK\7\b",
                        "\1\0\24\0",
                        "archive/data.pkl",
                        "../../x",
                        "\u00ff\u00ff\u00ff\u00ff"),
                (input, folder) -> {
                    Path file = folder.resolve("fuzz.pt");
                    Files.write(file, input);
                    TorchFile read = TorchFile.open(file);
                    for (TorchRecord record : read.records()) {
                        read.verifyCrc(record);
                    }
                });
    }

    private static Parser universalManifest(Path universal) throws IOException {
        return new Parser(
                "manifest",
                List.of(Files.readAllBytes(universal.resolve("manifest.json"))),
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
                (input, folder) -> index(folder, "manifest.json", checked(input)));
    }

    private static Parser arrow(Path universal) throws IOException {
        Path file;
        try (Stream<Path> files = Files.list(universal.resolve("states"))) {
            file = files.sorted().findFirst().orElseThrow();
        }
        String name = String.valueOf(file.getFileName());
        byte[] manifest = Files.readAllBytes(universal.resolve("manifest.json"));
        return new Parser(
                "arrow",
                List.of(Files.readAllBytes(file)),
                words("ARROW1\0\0", "ARROW1", "\u00ff\u00ff\u00ff\u00ff"),
                (input, folder) -> {
                    Path root = folder.resolve("arrow");
                    if (!Files.exists(root)) {
                        copy(universal, root);
                        Files.write(root.resolve("manifest.json"), manifest);
                    }
                    Files.write(root.resolve("states").resolve(name), checkedArrow(input));
                    OpenedSource opened = OpenedSource.open(root, Optional.of("universal"));
                    for (CheckpointFormat format : CheckpointFormat.all()) {
                        if (format.name().equals("universal")) {
                            format.damage(opened.index());
                        }
                    }
                });
    }

    private static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> all = Files.walk(from)) {
            for (Path path : all.toList()) {
                Files.copy(path, to.resolve(from.relativize(path).toString()));
            }
        }
    }

    /// One file in a folder of its own, as any format that takes it reads it.
    private static void index(Path folder, String name, byte[] input) throws IOException {
        Path root = folder.resolve("root-" + name);
        Files.createDirectories(root);
        Files.write(root.resolve(name), input);
        OpenedSource.open(root, Optional.empty());
    }

    private static Parser metadata() {
        // What `torch.distributed.checkpoint.metadata` pickles, in small.
        byte[] seed =
                ("\u0080\2ctorch.distributed.checkpoint.metadata\n"
                     + "Metadata\n"
                     + "q\0)\u0081q\1}q\2("
                     + "X\24\0\0\0state_dict_metadataq\3}q\4X\14\0\0\0storage_dataq\5}q\6ub.")
                        .getBytes(StandardCharsets.ISO_8859_1);
        return new Parser(
                "metadata",
                List.of(seed),
                words(
                        "}",
                        "(",
                        "u",
                        "b",
                        ")",
                        "\u0081",
                        "X\1\0\0\0a",
                        "ctorch\nSize\n",
                        "K\1",
                        "\u0085",
                        "R",
                        "N"),
                (input, folder) -> {
                    Files.write(folder.resolve(DistcpMetadata.FILE), input);
                    DistcpMetadata.read(folder);
                });
    }

    private static Parser ucl() throws IOException {
        List<byte[]> seeds = new ArrayList<>();
        try (Stream<Path> all = Files.walk(SAMPLES)) {
            for (Path path : all.filter(p -> p.toString().endsWith(".ucl")).sorted().toList()) {
                seeds.add(Files.readAllBytes(path));
            }
        }
        return new Parser(
                "ucl",
                seeds,
                words(
                        "mesh ",
                        "param ",
                        "shard ",
                        "dim ",
                        "over ",
                        "let ",
                        "(",
                        ")",
                        "{",
                        "}",
                        "*",
                        "\"",
                        "#",
                        "\n",
                        "import ",
                        "-",
                        "999999999999999999999",
                        "replicate "),
                (input, folder) ->
                        Ucl.format(
                                SourceText.of(
                                        "fuzz.ucl", new String(input, StandardCharsets.UTF_8))));
    }

    private static Parser safetensors() {
        String header =
                "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],"
                    + "\"data_offsets\":[0,24]},\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}";
        byte[] seed =
                ((char) header.length() + "\0\0\0\0\0\0\0" + header + "\0".repeat(32))
                        .getBytes(StandardCharsets.ISO_8859_1);
        return new Parser(
                "safetensors",
                List.of(seed),
                words(
                        "\"data_offsets\":",
                        "[",
                        "]",
                        "{",
                        "}",
                        "\"dtype\":\"F64\"",
                        "\"shape\":[",
                        "-1",
                        "9223372036854775807",
                        ",",
                        "null"),
                (input, folder) -> index(folder, "model.safetensors", input));
    }

    private static Parser parity(Path folder) throws IOException {
        Path checkpoint = SAMPLES.resolve("gpt2-zero2-tied-frozen/checkpoint");
        Protection.run(
                new Protection.Request(
                        checkpoint,
                        OpenedSource.open(checkpoint, Optional.empty()),
                        new Grouping.ByFile(),
                        3,
                        1),
                folder,
                quick(),
                (done, total) -> {});
        byte[] seed = Files.readAllBytes(folder.resolve("manifest.json"));
        return new Parser(
                "parity",
                List.of(seed),
                words("{", "}", "[", "]", "\"", ",", "../", "-1", "0"),
                (input, scratch) -> {
                    Path root = scratch.resolve("parity");
                    Files.createDirectories(root);
                    Files.write(root.resolve("manifest.json"), sealed(input));
                    ProtectedCheckpoint.open(checkpoint, root);
                });
    }

    /// With a digest that fits, as a liar would write it: else nothing behind that check is tried.
    private static byte[] sealed(byte[] manifest) {
        String text = new String(manifest, StandardCharsets.ISO_8859_1);
        int at = text.lastIndexOf(SEAL);
        if (at < 0) {
            return manifest;
        }
        ByteBuffer body = ByteBuffer.wrap(manifest, 0, at);
        HexFormat hex = HexFormat.of();
        String digest =
                hex.toHexDigits(Crc.CASTAGNOLI.of(body.duplicate()))
                        + hex.toHexDigits(Crc.ZIP.of(body.duplicate()));
        return (text.substring(0, at) + SEAL + digest + "\"\n}\n")
                .getBytes(StandardCharsets.ISO_8859_1);
    }

    /// As [#sealed], for the universal manifest.
    private static byte[] checked(byte[] manifest) {
        String text = new String(manifest, StandardCharsets.ISO_8859_1);
        int at = text.lastIndexOf(CHECKSUM);
        return at < 0
                ? manifest
                : (text.substring(0, at) + CHECKSUM + "%08x\"}\n".formatted(crc(manifest, 0, at)))
                        .getBytes(StandardCharsets.ISO_8859_1);
    }

    /// The same for the schema and the footer of an Arrow file, where their lengths lead to them.
    private static byte[] checkedArrow(byte[] file) {
        byte[] out = file.clone();
        ByteBuffer bytes = ByteBuffer.wrap(out).order(ByteOrder.LITTLE_ENDIAN);
        if (out.length >= 26) {
            long schema = bytes.getInt(12) + 8L;
            long footer = bytes.getInt(out.length - 10);
            for (long[] region : new long[][] {{8, schema}, {out.length - 10 - footer, footer}}) {
                long end = region[0] + region[1];
                if (region[0] >= 8 && region[1] >= 4 && end <= out.length - 10) {
                    int from = (int) region[0];
                    bytes.putInt((int) end - 4, crc(out, from, (int) region[1] - 4));
                }
            }
        }
        return out;
    }

    private static int crc(byte[] bytes, int from, int size) {
        return Crc.CASTAGNOLI.of(ByteBuffer.wrap(bytes, from, size));
    }
}
