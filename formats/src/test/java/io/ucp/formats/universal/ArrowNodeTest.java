package io.ucp.formats.universal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ucp.formats.ParameterFacts;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/// State files as another implementation of Arrow reads them: `apache-arrow` under Node, which npm
/// installs into `target/`. Runs with `-Pnode-oracle`.
@EnabledIfSystemProperty(
        named = "ucp.node.oracle",
        matches = "true",
        disabledReason = "needs the network: run with -Pnode-oracle")
class ArrowNodeTest {
    private static final Path SCRIPTS = Path.of("src/test/node");
    private static final Path INSTALLED = Path.of("target/node-oracle");

    @TempDir Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"none", "zstd"})
    void readsEveryTensor(String compress) throws Exception {
        install();
        List<ParameterFacts> parameters = new ArrayList<>(Samples.parameters());
        parameters.removeIf(facts -> facts.name().contains("\ud800"));
        parameters.add(
                Samples.parameter(
                        "numbers",
                        Shape.of(50, 4),
                        Map.of("f4", DType.FLOAT32, "i4", DType.INT32, "i8", DType.INT64)));
        TensorBytes tensors = TensorBytes.of(parameters, 5);
        for (String state : List.of("f4", "i4", "i8")) {
            ByteBuffer numbers =
                    ByteBuffer.wrap(tensors.get("numbers", state)).order(ByteOrder.LITTLE_ENDIAN);
            for (int i = 0; i < 200; i++) {
                switch (state) {
                    case "f4" -> numbers.putFloat(i * 0.5f - 3);
                    case "i4" -> numbers.putInt(i * 1000 - 7);
                    default -> numbers.putLong(i * 10_000_000_000L - 7);
                }
            }
        }
        WrittenTree.write(
                new UniversalFormat(Samples.TINY)
                        .layout(
                                Samples.request(
                                        parameters, List.of(), Map.of("compress", compress))),
                folder,
                tensors);
        Path expected = folder.resolve("expected.json");
        Files.writeString(expected, expected(parameters, tensors));
        String said = run("node", "check.js", folder.toString(), expected.toString());
        assertThat(said.strip()).endsWith(" tensors equal");
    }

    private String expected(List<ParameterFacts> parameters, TensorBytes tensors)
            throws IOException {
        List<Manifest.ArrowFile> files = ManifestReader.read(folder).files();
        return Json.text(
                out -> {
                    out.writeStartObject();
                    out.writeArrayFieldStart("files");
                    for (Manifest.ArrowFile file : files) {
                        out.writeStartObject();
                        out.writeStringField("path", file.path());
                        out.writeStringField("type", nodeType(file.dtype()));
                        out.writeEndObject();
                    }
                    out.writeEndArray();
                    out.writeArrayFieldStart("tensors");
                    for (ParameterFacts facts : parameters) {
                        for (String state : facts.states().keySet()) {
                            out.writeStartObject();
                            out.writeStringField("name", facts.name());
                            out.writeStringField("state", state);
                            byte[] bytes = tensors.get(facts.name(), state);
                            out.writeStringField("bytes", HexFormat.of().formatHex(bytes));
                            if (facts.name().equals("numbers")) {
                                Json.texts(out, "values", values(state));
                            }
                            out.writeEndObject();
                        }
                    }
                    out.writeEndArray();
                    out.writeEndObject();
                });
    }

    /// As JavaScript writes them.
    private static List<String> values(String state) {
        List<String> out = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            switch (state) {
                case "f4" -> out.add(Double.toString(i * 0.5 - 3).replaceFirst("\\.0$", ""));
                case "i4" -> out.add(Integer.toString(i * 1000 - 7));
                default -> out.add(Long.toString(i * 10_000_000_000L - 7));
            }
        }
        return out;
    }

    private static String nodeType(DType dtype) {
        return switch (dtype) {
            case FLOAT64 -> "Float64";
            case FLOAT32 -> "Float32";
            case FLOAT16 -> "Float16";
            case INT64, INT32, INT16, INT8 -> "Int" + dtype.width() * 8;
            case QINT32 -> "Int32";
            case QINT8 -> "Int8";
            case COMPLEX32, COMPLEX64, COMPLEX128 -> "FixedSizeBinary[" + dtype.width() + "]";
            default -> "Uint" + dtype.width() * 8;
        };
    }

    private static void install() throws Exception {
        assumeTrue(found("node") && found("npm"), "skipped: node and npm are not on the PATH");
        Files.createDirectories(INSTALLED);
        for (String script : List.of("package.json", "check.js")) {
            Files.copy(
                    SCRIPTS.resolve(script),
                    INSTALLED.resolve(script),
                    StandardCopyOption.REPLACE_EXISTING);
        }
        if (!Files.isDirectory(INSTALLED.resolve("node_modules"))) {
            run("npm", "install", "--no-audit", "--no-fund", "--no-package-lock");
        }
    }

    private static boolean found(String program) {
        for (String folder : System.getenv().getOrDefault("PATH", "").split(":", -1)) {
            if (Files.isExecutable(Path.of(folder, program))) {
                return true;
            }
        }
        return false;
    }

    private static String run(String... command) throws Exception {
        Process process =
                new ProcessBuilder(command)
                        .directory(INSTALLED.toFile())
                        .redirectErrorStream(true)
                        .start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as("%s said:%n%s", String.join(" ", command), said).isZero();
        return said;
    }
}
