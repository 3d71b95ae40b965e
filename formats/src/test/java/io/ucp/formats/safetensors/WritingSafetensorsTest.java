package io.ucp.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.RefusedException;
import io.ucp.formats.Scalar;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetTree;
import io.ucp.formats.TargetTreeWriter;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PyBool;
import io.ucp.formats.torch.pickle.PyDict;
import io.ucp.formats.torch.pickle.PyText;
import io.ucp.io.ByteReader;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;

/// The folder of a model for a state: its files, to the byte, and what is said of the rest.
class WritingSafetensorsTest {
    private static final Path RESOURCES = Path.of("src/test/resources/io/ucp/formats/safetensors");

    private final SafetensorsFormat format = new SafetensorsFormat();

    @TempDir Path folder;

    private static ParameterFacts parameter(String name, Shape shape, Map<String, DType> states) {
        return new ParameterFacts(
                name,
                shape,
                shape,
                states,
                Map.of(),
                Split.UNKNOWN,
                true,
                false,
                -1,
                List.of(),
                Map.of(),
                List.of());
    }

    private static WriteRequest request(
            List<ParameterFacts> parameters,
            List<CarriedFile> carried,
            Map<String, String> options) {
        return new WriteRequest(
                "tag",
                OptionalLong.of(3),
                new Origin("deepspeed", "tag", 1, List.of(), Optional.empty()),
                parameters,
                LayoutHints.NONE,
                carried,
                options);
    }

    /// Bytes that depend on parameter, state and place.
    private static byte[] bytes(List<ParameterFacts> parameters, String name, String state) {
        ParameterFacts facts =
                parameters.stream().filter(p -> p.name().equals(name)).findFirst().orElseThrow();
        DType dtype = Optional.ofNullable(facts.states().get(state)).orElseThrow();
        byte[] bytes = new byte[(int) facts.shape().count() * dtype.width()];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) (name.hashCode() + 31 * state.hashCode() + i);
        }
        return bytes;
    }

    private TargetTree written(List<ParameterFacts> parameters, Map<String, String> options)
            throws IOException {
        TargetTree tree = format.layout(request(parameters, List.of(), options));
        TargetTreeWriter.write(tree, folder, (name, state) -> bytes(parameters, name, state));
        return tree;
    }

    private CheckpointIndex read() throws IOException {
        return format.index(format.find(folder).getFirst());
    }

    private static byte[] content(TensorEntry tensor) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) tensor.size());
        try (ByteReader reader = tensor.source().open()) {
            reader.read(tensor.offset(), bytes);
        }
        return bytes.array();
    }

    private List<String> files() throws IOException {
        try (Stream<Path> entries = Files.list(folder)) {
            return entries.map(p -> p.getFileName().toString()).sorted().toList();
        }
    }

    // ---- the bytes of a file ----

    @Test
    void fileIsWhatTheLibraryWritesOfTheSameTensors() throws IOException {
        Path library = RESOURCES.resolve("dtypes.safetensors");
        Header header = Header.read(PlainFile.of(library));
        NewFiles made = new NewFiles();
        Map<String, byte[]> content = new HashMap<>();
        List<String> reversed = List.copyOf(header.tensors().keySet()).reversed();
        for (String name : reversed) {
            TensorEntry entry = header.entry(name);
            ParameterFacts p = parameter(name, entry.shape(), Map.of("weight", entry.dtype()));
            content.put(name, content(entry));
            made.add(
                    name,
                    entry.shape(),
                    io.ucp.formats.hub.ModelWeights.elements(p, "weight", entry.dtype()));
        }
        byte[] bytes =
                TargetTreeWriter.bytes(
                        made.files("model", Long.MAX_VALUE, header.metadata(), Map.of()).getFirst(),
                        (name, state) -> Optional.ofNullable(content.get(name)).orElseThrow());
        assertThat(bytes).isEqualTo(Files.readAllBytes(library));
    }

    @Test
    void everyDtypeOfTheFormComesBack() throws IOException {
        List<ParameterFacts> parameters =
                Stream.of(Element.values())
                        .map(e -> parameter("of." + e, Shape.of(3, 2), Map.of("weight", e.dtype())))
                        .toList();
        written(parameters, Map.of());
        CheckpointIndex index = read();
        assertThat(index.wholes()).hasSameSizeAs(parameters);
        for (WholeParameter whole : index.wholes()) {
            String name = whole.facts().name();
            assertThat(whole.facts().shape()).isEqualTo(Shape.of(3, 2));
            assertThat(content(whole.tensor("weight")))
                    .as(name)
                    .isEqualTo(bytes(parameters, name, "weight"));
        }
    }

    @Test
    void dtypeThatTheFormLacksIsRefused() {
        assertThatThrownBy(
                        () ->
                                written(
                                        List.of(
                                                parameter(
                                                        "q",
                                                        Shape.of(2),
                                                        Map.of("weight", DType.QINT8))),
                                        Map.of()))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("q: dtype qint8; expected one of BOOL");
    }

    // ---- files of a model ----

    /// A carried header says under which name its file is written.
    @ParameterizedTest
    @ValueSource(strings = {"../model.safetensors", "..", "", "a/b.safetensors", "a\\b", "a\0b"})
    void carriedNameThatLeadsElsewhereIsNotTaken(String name) {
        String header = "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}";
        CarriedFile kept =
                new CarriedFile(
                        "safetensors_headers",
                        CarriedFile.FORM,
                        Coordinate.NONE,
                        Optional.empty(),
                        Optional.of(PyDict.of(Map.of(name, PyText.of(header)))),
                        Map.of());
        List<ParameterFacts> parameters =
                List.of(parameter("a", Shape.of(2), Map.of("weight", DType.UINT8)));
        assertThat(format.layout(request(parameters, List.of(kept), Map.of())).files())
                .extracting(TargetFile::path)
                .containsExactly("model.safetensors");
    }

    @Test
    void modelIsDividedInOrderAsTheHubDoes() throws IOException {
        // Bytes: 60, 60, 20, 60, 20, 20, 120: as in huggingface_hub's own example.
        List<ParameterFacts> parameters =
                Stream.of("a:30", "b:30", "c:10", "d:30", "e:10", "f:10", "g:60")
                        .map(each -> each.split(":", -1))
                        .map(
                                each ->
                                        parameter(
                                                each[0],
                                                Shape.of(Long.parseLong(each[1])),
                                                Map.of("weight", DType.BFLOAT16)))
                        .toList();
        written(parameters, Map.of("max-shard-size", "100"));
        assertThat(files())
                .containsExactly(
                        "model-00001-of-00004.safetensors",
                        "model-00002-of-00004.safetensors",
                        "model-00003-of-00004.safetensors",
                        "model-00004-of-00004.safetensors",
                        "model.safetensors.index.json");
        assertThat(Files.readString(folder.resolve("model.safetensors.index.json")))
                .isEqualTo(
                        """
                        {
                          "metadata": {
                            "total_size": 360
                          },
                          "weight_map": {
                            "a": "model-00001-of-00004.safetensors",
                            "b": "model-00002-of-00004.safetensors",
                            "c": "model-00002-of-00004.safetensors",
                            "d": "model-00004-of-00004.safetensors",
                            "e": "model-00004-of-00004.safetensors",
                            "f": "model-00004-of-00004.safetensors",
                            "g": "model-00003-of-00004.safetensors"
                          }
                        }
                        """);
        assertThat(read().wholes()).hasSize(7);
    }

    @Test
    void rowsOfPaddingAreLeftOutAndTold() throws IOException {
        ParameterFacts padded =
                new ParameterFacts(
                        "embed",
                        Shape.of(8, 2),
                        Shape.of(5, 2),
                        Map.of("weight", DType.FLOAT32),
                        Map.of(),
                        Split.UNKNOWN,
                        true,
                        false,
                        -1,
                        List.of(),
                        Map.of(),
                        List.of());
        written(List.of(padded), Map.of());
        WholeParameter whole = read().wholes().getFirst();
        assertThat(whole.facts().shape()).isEqualTo(Shape.of(5, 2));
        byte[] all = bytes(List.of(padded), "embed", "weight");
        assertThat(content(whole.tensor("weight"))).isEqualTo(java.util.Arrays.copyOf(all, 40));
    }

    @Test
    void otherNamesAreInTheMetadata() throws IOException {
        ParameterFacts tied =
                new ParameterFacts(
                        "embed",
                        Shape.of(2),
                        Shape.of(2),
                        Map.of("weight", DType.FLOAT32),
                        Map.of(),
                        Split.UNKNOWN,
                        true,
                        false,
                        -1,
                        List.of("head"),
                        Map.of(),
                        List.of());
        written(List.of(tied), Map.of());
        assertThat(Header.read(PlainFile.of(folder.resolve("model.safetensors"))).metadata())
                .isEqualTo(Map.of("format", "pt", "head", "embed"));
        assertThat(read().hints().aliases()).isEqualTo(Map.of("head", "embed"));
    }

    // ---- weights ----

    private static DType dtypeOf(TargetTree tree, Path folder) throws IOException {
        assertThat(tree.files()).isNotEmpty();
        return Header.read(PlainFile.of(folder.resolve("model.safetensors"))).entry("w").dtype();
    }

    private static final Map<String, DType> MASTER = Map.of("fp32", DType.FLOAT32);

    @Test
    void masterIsRoundedToTheDtypeOfTheOtherWeights() throws IOException {
        List<ParameterFacts> parameters =
                List.of(
                        parameter("frozen", Shape.of(2), Map.of("weight", DType.FLOAT16)),
                        parameter("w", Shape.of(2), MASTER));
        TargetTree tree = format.layout(request(parameters, List.of(), Map.of()));
        TargetTreeWriter.write(tree, folder, zeros());
        assertThat(dtypeOf(tree, folder)).isEqualTo(DType.FLOAT16);
        assertThat(tree.notes())
                .contains("the weights of w are the fp32 master rounded to float16");
    }

    /// As large as any tensor here.
    private static TargetTreeWriter.States zeros() {
        return (_, _) -> new byte[64];
    }

    private TargetTree ofMaster(List<CarriedFile> carried, Map<String, String> options)
            throws IOException {
        TargetTree tree =
                format.layout(
                        request(List.of(parameter("w", Shape.of(2), MASTER)), carried, options));
        TargetTreeWriter.write(tree, folder, zeros());
        return tree;
    }

    private CarriedFile text(String path, String role, String text) throws IOException {
        Path file = folder.resolve("source-" + path.replace('/', '-'));
        Files.writeString(file, text);
        return new CarriedFile(
                path,
                role,
                Coordinate.NONE,
                Optional.of(PlainFile.of(file)),
                Optional.empty(),
                Map.of());
    }

    @Test
    void masterIsRoundedToTheDtypeOfTheConfiguration() throws IOException {
        CarriedFile config = text("beside/config.json", "beside", "{\"torch_dtype\": \"float16\"}");
        assertThat(dtypeOf(ofMaster(List.of(config), Map.of()), folder)).isEqualTo(DType.FLOAT16);
        assertThat(Files.readString(folder.resolve("config.json"))).contains("float16");
    }

    @Test
    void pointersOfAJobDoNotBelongToAModel() throws IOException {
        CarriedFile tokenizer = text("beside/tokenizer.json", "beside", "{}");
        CarriedFile pointer = text("beside/latest", "beside", "global_step3");
        TargetTree tree = ofMaster(List.of(tokenizer, pointer), Map.of());
        assertThat(tree.files())
                .extracting(file -> file.path())
                .containsExactly("model.safetensors", "tokenizer.json");
        assertThat(tree.losses())
                .contains("left behind, for a model's folder has no place for them: beside/latest");
    }

    @Test
    void masterIsRoundedToTheDtypeOfTheJob() throws IOException {
        PyDict on = PyDict.of(Map.of("enabled", new PyBool(true)));
        CarriedFile states =
                new CarriedFile(
                        "mp_rank_00_model_states.pt",
                        "model_states",
                        Coordinate.NONE,
                        Optional.empty(),
                        Optional.of(PyDict.of(Map.of("ds_config", PyDict.of(Map.of("bf16", on))))),
                        Map.of());
        TargetTree tree = ofMaster(List.of(states), Map.of());
        assertThat(dtypeOf(tree, folder)).isEqualTo(DType.BFLOAT16);
        assertThat(tree.losses())
                .contains(
                        "left out: fp32 of 1 parameters (--with-optimizer keeps them)",
                        "left behind, for a model's folder has no place for them:"
                                + " mp_rank_00_model_states.pt");
    }

    @Test
    void masterIsNotRoundedWhereNothingSaysTo() throws IOException {
        TargetTree tree = ofMaster(List.of(), Map.of());
        assertThat(dtypeOf(tree, folder)).isEqualTo(DType.FLOAT32);
        assertThat(tree.notes().toString()).contains("nothing says the dtype").contains("--dtype");
    }

    @Test
    void dtypeThatIsAskedForIsTakenFromTheMaster() throws IOException {
        List<ParameterFacts> parameters =
                List.of(
                        parameter(
                                "w",
                                Shape.of(2),
                                Map.of("weight", DType.BFLOAT16, "fp32", DType.FLOAT32)));
        TargetTree tree = format.layout(request(parameters, List.of(), Map.of("dtype", "fp32")));
        TargetTreeWriter.write(
                tree,
                folder,
                (_, state) -> {
                    assertThat(state).isEqualTo("fp32");
                    return new byte[8];
                });
        assertThat(dtypeOf(tree, folder)).isEqualTo(DType.FLOAT32);
    }

    @Test
    void parameterWithoutWeightAndMasterIsALoss() {
        TargetTree tree =
                format.layout(
                        request(
                                List.of(parameter("w", Shape.of(2), Map.of("m", DType.FLOAT32))),
                                List.of(),
                                Map.of()));
        assertThat(tree.losses())
                .containsExactly("w has neither a weight nor a master: left out with all states");
    }

    @Test
    void unknownOptionIsRefused() {
        assertThatThrownBy(
                        () -> format.layout(request(List.of(), List.of(), Map.of("rng", "keep"))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("the option 'rng'");
    }

    // ---- the optimizer's states ----

    private static ParameterFacts trained(String name, int group) {
        return new ParameterFacts(
                name,
                Shape.of(3, 2),
                Shape.of(3, 2),
                Map.of(
                        "weight", DType.BFLOAT16,
                        "fp32", DType.FLOAT32,
                        "exp_avg", DType.FLOAT32),
                Map.of("step", new Scalar(DType.FLOAT32, new byte[] {0, 0, 64, 64})),
                Split.UNKNOWN,
                true,
                false,
                group,
                List.of(),
                Map.of(),
                List.of());
    }

    @Test
    void statesComeBackWithTheirGroupsAndNumbers() throws IOException {
        ParameterFacts frozen = parameter("model/frozen", Shape.of(2), MASTER);
        List<ParameterFacts> parameters =
                List.of(
                        trained("a", 1),
                        trained("b", 0),
                        new ParameterFacts(
                                frozen.name(),
                                frozen.shape(),
                                frozen.shape(),
                                Map.of("weight", DType.BFLOAT16),
                                Map.of(),
                                Split.UNKNOWN,
                                false,
                                false,
                                -1,
                                List.of(),
                                Map.of(),
                                List.of()));
        TargetTree tree =
                written(parameters, Map.of("with-optimizer", "true", "max-shard-size", "60"));
        assertThat(tree.losses()).isEmpty();
        assertThat(files()).contains("optimizer.safetensors.index.json");
        CheckpointIndex index = read();
        assertThat(index.iteration()).hasValue(3);
        assertThat(index.hints().frozen()).containsExactly("model/frozen");
        for (ParameterFacts before : parameters) {
            WholeParameter after =
                    index.wholes().stream()
                            .filter(w -> w.facts().name().equals(before.name()))
                            .findFirst()
                            .orElseThrow();
            assertThat(after.facts().states()).isEqualTo(before.states());
            assertThat(after.facts().scalars()).isEqualTo(before.scalars());
            assertThat(after.facts().trainable()).isEqualTo(before.trainable());
            assertThat(after.facts().optimizerGroup()).isEqualTo(before.optimizerGroup());
            for (String state : before.states().keySet()) {
                assertThat(content(after.tensor(state)))
                        .isEqualTo(bytes(parameters, before.name(), state));
            }
        }
    }

    @Test
    void statesOfAnotherModelAreRefused() throws IOException {
        written(List.of(trained("a", 0)), Map.of("with-optimizer", "true"));
        Path optimizer = folder.resolve("optimizer.safetensors");
        byte[] bytes = Files.readAllBytes(optimizer);
        String text = new String(bytes, StandardCharsets.ISO_8859_1);
        Files.write(
                optimizer, text.replace("fp32/a", "fp32/b").getBytes(StandardCharsets.ISO_8859_1));
        assertThatThrownBy(this::read).hasMessageContaining("states of 'b'");
    }

    @Test
    void fileOfThatNameThatUcpDidNotWriteIsNotTaken() throws IOException {
        RawFile.of("{" + RawFile.u8("a", 0, 2) + "}", 2).write(folder.resolve("model.safetensors"));
        RawFile.of("{" + RawFile.u8("x", 0, 2) + "}", 2)
                .write(folder.resolve("optimizer.safetensors"));
        assertThat(read().wholes()).hasSize(1);
        assertThat(read().findings())
                .extracting(f -> f.place())
                .containsExactly("optimizer.safetensors");
    }
}
