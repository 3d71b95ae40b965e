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
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.lang.Ucl;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.parity.Grouping;
import io.ucp.parity.ProtectedCheckpoint;
import io.ucp.parity.Protection;
import io.ucp.plan.CopyPlan;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/// Every parser of ucp, with seeds that it made itself or that the samples hold.
final class Parsers {
    static final Path SAMPLES = Path.of("../samples");

    private static final List<CheckpointFormat> FORMATS = CheckpointFormat.all();

    private Parsers() {}

    /// @param folder where seeds can be made
    static List<Parser> all(Path folder) throws IOException {
        List<Parser> all = new ArrayList<>(ContainerParsers.all(folder));
        all.addAll(
                List.of(
                        ucl(),
                        parity(folder.resolve("parity")),
                        weightsIndex(),
                        digests(folder.resolve("digests.json")),
                        journal()));
        return all;
    }

    /// What says which of a model's files holds which tensor.
    private static Parser weightsIndex() throws IOException {
        String name = "model.safetensors.index.json";
        Path sample = SAMPLES.resolve("hf-llama-sharded/checkpoint");
        return new Parser(
                "json",
                List.of(Files.readAllBytes(sample.resolve(name))),
                words("{", "}", "[", "]", "\"", ",", ":", "../", "\\u0000", "1e999", "null"),
                (input, folder) -> {
                    Files.write(folder.resolve(name), input);
                    index("safetensors", folder);
                });
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

    /// As a format reads what lies in a folder of its own.
    static CheckpointIndex index(String format, Path folder) throws IOException {
        CheckpointFormat named = named(format);
        List<CheckpointFormat.Candidate> found = named.find(folder);
        if (found.isEmpty()) {
            throw new IncompleteCheckpointException(
                    folder.toString(), "nothing that says it is one", format, "");
        }
        return named.index(found.getFirst());
    }

    /// What its checksums say, of which every byte is read.
    static void damage(String format, CheckpointIndex index) throws IOException {
        named(format).damage(index);
    }

    private static CheckpointFormat named(String format) {
        return FORMATS.stream().filter(f -> f.name().equals(format)).findFirst().orElseThrow();
    }

    private static Request universalRequest(Path source) {
        return new Request(
                source, Optional.empty(), "universal", Optional.empty(), Map.of(), Map.of());
    }

    static RunOptions quick() {
        return RunOptions.standard()
                .withThreads(1)
                .withOutput(new OutputFolder.Rules(Leftover.REFUSE, false, false));
    }

    static List<byte[]> words(String... words) {
        return Stream.of(words).map(w -> w.getBytes(StandardCharsets.ISO_8859_1)).toList();
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
                    Files.write(root.resolve("manifest.json"), Seals.parity(input));
                    ProtectedCheckpoint.open(checkpoint, root);
                });
    }
}
