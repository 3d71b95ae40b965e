package io.ucp.fuzz;

import static io.ucp.fuzz.Parsers.index;
import static io.ucp.fuzz.Parsers.words;

import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchRecord;
import io.ucp.formats.torch.pickle.PickleReader;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/// The containers of checkpoints, with small seeds: an input is read in less than a millisecond.
final class ContainerParsers {
    static final Path RESOURCES = Path.of("../formats/src/test/resources");

    private ContainerParsers() {}

    /// @param folder where seeds can be made
    static List<Parser> all(Path folder) throws IOException {
        List<Parser> all = new ArrayList<>(List.of(pickle(), torch(), metadata(), safetensors()));
        all.addAll(UniversalParsers.all(folder));
        return all;
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

    /// What `torch.distributed.checkpoint.metadata` pickles: in small, and what torch wrote.
    private static Parser metadata() throws IOException {
        List<byte[]> seeds = new ArrayList<>();
        seeds.add(
                ("\u0080\2ctorch.distributed.checkpoint.metadata\n"
                     + "Metadata\n"
                     + "q\0)\u0081q\1}q\2("
                     + "X\24\0\0\0state_dict_metadataq\3}q\4X\14\0\0\0storage_dataq\5}q\6ub.")
                        .getBytes(StandardCharsets.ISO_8859_1));
        for (String written : List.of("weights", "kinds/torch-1.13")) {
            seeds.add(
                    Files.readAllBytes(
                            RESOURCES
                                    .resolve("io/ucp/formats/dcp")
                                    .resolve(written)
                                    .resolve(DistcpMetadata.FILE)));
        }
        return new Parser(
                "metadata",
                seeds,
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
                        "\u008a\10\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u007f",
                        "h\0",
                        "\u0085",
                        "R",
                        "N"),
                (input, folder) -> {
                    Files.write(folder.resolve(DistcpMetadata.FILE), input);
                    DistcpMetadata.read(folder);
                });
    }

    /// A model of two tensors.
    static byte[] small() {
        String header =
                "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],"
                    + "\"data_offsets\":[0,24]},\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}";
        return ((char) header.length() + "\0\0\0\0\0\0\0" + header + "\0".repeat(32))
                .getBytes(StandardCharsets.ISO_8859_1);
    }

    private static Parser safetensors() {
        return new Parser(
                "safetensors",
                List.of(small()),
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
                (input, folder) -> {
                    Files.write(folder.resolve("model.safetensors"), input);
                    index("safetensors", folder);
                });
    }
}
