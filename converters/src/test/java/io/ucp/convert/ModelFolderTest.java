package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.execute.Progress;
import io.ucp.formats.RefusedException;
import io.ucp.formats.distcp.DistcpMetadata;
import io.ucp.formats.torch.TensorPickles;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.TorchTensor;
import io.ucp.formats.torch.TorchWriter;
import io.ucp.formats.torch.TreeJson;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/// Folders of models through the whole chain.
class ModelFolderTest {
    private static final Path SAMPLES = Path.of("../samples");
    private static final Path RESOURCES =
            Path.of("../formats/src/test/resources/io/ucp/formats/safetensors");

    @TempDir Path folder;

    private int outputs;

    private Path convert(Path source, String to, Map<String, String> options) throws IOException {
        Path output = folder.resolve("%s-%d".formatted(to, outputs++));
        Request request =
                new Request(source, Optional.empty(), to, Optional.empty(), Map.of(), options);
        Conversion.run(Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
        return output;
    }

    private static Described describe(Path path) throws IOException {
        return Described.of(path, Optional.empty(), Optional.empty(), Map.of());
    }

    private static void same(Path first, Path second) throws IOException {
        same(first, second, Names.AUTO);
    }

    private static Described describe(Path path, Names names) throws IOException {
        return Described.of(path, Optional.empty(), Optional.empty(), Map.of(), names);
    }

    private static void same(Path first, Path second, Names names) throws IOException {
        Verification.Verdict verdict =
                Verification.compare(
                        describe(first, names),
                        describe(second, names),
                        RunOptions.standard(),
                        Progress.NONE);
        assertThat(verdict.differences()).isEmpty();
        assertThat(verdict.states()).isPositive();
    }

    /// File -> bytes.
    private static Map<String, String> content(Path root) throws IOException {
        Map<String, String> content = new TreeMap<>();
        try (Stream<Path> walk = Files.walk(root)) {
            for (Path file : walk.filter(Files::isRegularFile).toList()) {
                content.put(
                        root.relativize(file).toString(),
                        HexFormat.of().formatHex(Files.readAllBytes(file)));
            }
        }
        return content;
    }

    @Test
    void stateDictsThroughUniversalAreTheSameTensorsInTheSameFiles() throws IOException {
        Path source = SAMPLES.resolve("hf-llama-bin").resolve("checkpoint");
        Path universal = convert(source, "universal", Map.of());
        Path back = convert(universal, "torch", Map.of());
        assertThat(content(back).keySet()).isEqualTo(content(source).keySet());
        same(source, back);
        assertThat(describe(back).inventory().parameters())
                .extracting(p -> p.facts().name())
                .isEqualTo(
                        describe(source).inventory().parameters().stream()
                                .map(p -> p.facts().name())
                                .toList());
        same(SAMPLES.resolve("hf-llama-sharded").resolve("checkpoint"), back);
    }

    @ParameterizedTest
    @ValueSource(strings = {"training", "named", "prefixed"})
    void stateDictsOfScriptsComeBackWithAllThatIsInThem(String name) throws IOException {
        Path source = RESOURCES.resolveSibling("statedict").resolve(name + ".pt");
        Path back =
                convert(convert(source, "universal", Map.of()), "torch", Map.of())
                        .resolve(name + ".pt");
        same(source, back);
        assertThat(torchText(back)).isEqualTo(torchText(source));
    }

    /// The object, without the bytes of tensors.
    private static String torchText(Path file) throws IOException {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = TreeJson.factory().createGenerator(text)) {
            TreeJson.write(json, TorchFile.open(file).tree());
        }
        return text.toString();
    }

    /// Scripts keep a model under `state_dict`, as a sharded checkpoint's is carried.
    @Test
    void aStateDictUnderThatKeyIsTheModelOfADcpCheckpoint() throws IOException {
        Path source = Files.createDirectory(folder.resolve("script")).resolve("last.ckpt");
        PickleValue tensor =
                TensorPickles.write(TorchTensor.contiguous(DType.FLOAT32, Shape.of(2), "0"));
        Map<String, PickleValue> root = new LinkedHashMap<>();
        root.put("epoch", PyInt.of(7));
        root.put("state_dict", PyDict.of(Map.of("net.weight", tensor)));
        TorchWriter.write(
                source,
                PyDict.of(root),
                new LinkedHashMap<>(Map.of("0", new byte[] {1, 2, 3, 4, 5, 6, 7, 8})));
        Path sharded = convert(source, "dcp", Map.of());
        same(source, sharded);
        assertThat(DistcpMetadata.read(sharded).entries().keySet())
                .containsExactly("model.net.weight");
        Request request =
                new Request(source, Optional.empty(), "dcp", Optional.empty(), Map.of(), Map.of());
        assertThat(Conversion.prepare(request).tree().losses())
                .containsExactly("of the job, for which a state dict has no place: epoch");
    }

    @Test
    void statesOfAJobAreBesideAStateDict() throws IOException {
        Path source = SAMPLES.resolve("gpt2-zero2-tied-frozen").resolve("checkpoint");
        Path model = convert(source, "torch", Map.of("with-optimizer", "true"));
        same(source, model);
        assertThat(content(model).keySet()).containsExactly("optimizer.pt", "pytorch_model.bin");
    }

    @ParameterizedTest
    @ValueSource(strings = {"hf-llama-sharded", "hf-gpt2-tied"})
    void toUniversalAndBackIsEveryByteAgain(String sample) throws IOException {
        Path source = SAMPLES.resolve(sample).resolve("checkpoint");
        Path universal = convert(source, "universal", Map.of());
        Path back = convert(universal, "safetensors", Map.of());
        assertThat(content(back)).isEqualTo(content(source));
        Path direct = convert(source, "safetensors", Map.of());
        assertThat(content(direct)).isEqualTo(content(source));
    }

    @ParameterizedTest
    @ValueSource(strings = {"hf-llama-sharded", "hf-gpt2-tied"})
    void otherFormsHoldTheSameState(String sample) throws IOException {
        Path source = SAMPLES.resolve(sample).resolve("checkpoint");
        Path sharded = convert(source, "safetensors", Map.of("max-shard-size", "4000"));
        same(source, sharded);
        Path one = convert(sharded, "safetensors", Map.of("max-shard-size", "1000000"));
        same(source, one);
        assertThat(content(one).keySet()).contains("model.safetensors");
        Path deepspeed = convert(source, "deepspeed-universal", Map.of());
        assertThat(describe(deepspeed).inventory().parameters())
                .hasSameSizeAs(describe(source).inventory().parameters());
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama-zero3-dp4", "gpt2-zero2-tied-frozen", "llama-tp2-pp2-dp2"})
    void statesBesideAModelAreThoseOfTheSource(String sample) throws IOException {
        Path source = SAMPLES.resolve(sample).resolve("checkpoint");
        Path universal = convert(source, "universal", Map.of());
        Path model = convert(universal, "safetensors", Map.of("with-optimizer", "true"));
        same(universal, model, Names.HF);
        same(source, model, Names.HF);
        same(universal, convert(model, "universal", Map.of()), Names.HF);
    }

    @Test
    void weightsOfAJobAreTheModels() throws IOException {
        Path source = SAMPLES.resolve("gpt2-zero2-tied-frozen").resolve("checkpoint");
        Path model = convert(source, "safetensors", Map.of());
        Verification.Verdict verdict =
                Verification.compare(
                        describe(source), describe(model), RunOptions.standard(), Progress.NONE);
        assertThat(verdict.differences())
                .extracting(Verification.Difference::state)
                .containsOnly("fp32", "exp_avg", "exp_avg_sq", "step");
        assertThat(
                        describe(model)
                                .inventory()
                                .find("transformer.wte.weight")
                                .orElseThrow()
                                .facts()
                                .aliases())
                .isEqualTo(List.of("lm_head.weight"));
    }

    @Test
    void piecesOfRanksAreRefusedWhereNothingMayBeMissing() throws IOException {
        Request request =
                new Request(
                        RESOURCES.resolve("dcp-pieces"),
                        Optional.empty(),
                        "universal",
                        Optional.empty(),
                        Map.of(),
                        Map.of());
        Prepared prepared = Conversion.prepare(request);
        RunOptions strict = RunOptions.standard().withStrict(true);
        Path output = folder.resolve("strict");
        assertThatThrownBy(() -> Conversion.run(prepared, output, strict, Progress.NONE))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("no file of a last rank is missing cannot be seen");
        assertThat(output).doesNotExist();
    }

    @Test
    void piecesOfRanksAreTheWholeTensors() throws IOException {
        same(RESOURCES.resolve("dcp-pieces"), RESOURCES.resolve("dcp-whole.safetensors"));
    }
}
