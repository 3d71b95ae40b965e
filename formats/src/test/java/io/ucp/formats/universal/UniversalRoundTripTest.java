package io.ucp.formats.universal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.RefusedException;
import io.ucp.formats.TensorEntry;
import io.ucp.formats.WholeParameter;
import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.io.ByteReader;
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
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

class UniversalRoundTripTest {
    @TempDir Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"none", "zstd", "zstd:19", "zstd+shuffle", "zstd:19+shuffle"})
    void givesBackEveryFactAndEveryByte(String compress) throws IOException {
        for (Limits limits : List.of(Limits.STANDARD, Samples.TINY)) {
            Path out = folder.resolve("limits" + limits.file());
            TensorBytes tensors =
                    Samples.write(
                            new UniversalFormat(limits),
                            out,
                            Samples.parameters(),
                            List.of(),
                            Map.of("compress", compress));
            CheckpointIndex index = Samples.index(out);
            assertThat(index.tag()).isEqualTo("global_step3");
            assertThat(index.iteration()).hasValue(3);
            assertThat(index.origin()).isEqualTo(Samples.origin());
            assertThat(index.hints()).isEqualTo(Samples.hints());
            assertThat(index.wholes().stream().map(WholeParameter::facts))
                    .containsExactlyElementsOf(digested(tensors));
            for (WholeParameter whole : index.wholes()) {
                assertThat(whole.tensors().keySet()).isEqualTo(whole.facts().states().keySet());
                for (Map.Entry<String, TensorEntry> state : whole.tensors().entrySet()) {
                    assertThat(state.getValue().shape()).isEqualTo(whole.facts().shape());
                    assertThat(Samples.read(state.getValue()))
                            .isEqualTo(tensors.get(whole.facts().name(), state.getKey()));
                }
            }
        }
    }

    private static List<ParameterFacts> digested(TensorBytes tensors) {
        List<ParameterFacts> out = new ArrayList<>();
        for (ParameterFacts facts : Samples.parameters()) {
            Map<String, String> digests = new HashMap<>();
            for (String state : facts.states().keySet()) {
                digests.put(state, tensors.digest(facts.name(), state));
            }
            out.add(
                    new ParameterFacts(
                            facts.name(),
                            facts.shape(),
                            facts.realShape(),
                            facts.states(),
                            facts.scalars(),
                            facts.split(),
                            facts.trainable(),
                            facts.buffer(),
                            facts.optimizerGroup(),
                            facts.aliases(),
                            digests,
                            facts.notes()));
        }
        return out;
    }

    @ParameterizedTest
    @ValueSource(strings = {"none", "zstd", "zstd+shuffle"})
    void readsAnyPartOfATensorThatSpansBatches(String compress) throws IOException {
        ParameterFacts facts =
                Samples.parameter("t", Shape.of(37, 11), Map.of("fp32", DType.FLOAT32));
        TensorBytes tensors =
                Samples.write(
                        new UniversalFormat(Samples.TINY),
                        folder,
                        List.of(facts),
                        List.of(),
                        Map.of("compress", compress));
        TensorEntry tensor = TensorBytes.entry(Samples.whole(Samples.index(folder), "t"), "fp32");
        byte[] expected = tensors.get("t", "fp32");
        SplittableRandom random = new SplittableRandom(7);
        try (ByteReader reader = tensor.source().open()) {
            for (int i = 0; i < 500; i++) {
                int from = random.nextInt(expected.length + 1);
                int to = random.nextInt(from, expected.length + 1);
                ByteBuffer into =
                        i % 2 == 0
                                ? ByteBuffer.allocate(to - from)
                                : ByteBuffer.allocateDirect(to - from);
                reader.read(tensor.offset() + from, into);
                assertThat(into.flip()).isEqualTo(ByteBuffer.wrap(expected, from, to - from));
            }
        }
    }

    @Test
    void severalThreadsReadOneCompressedFile() throws Exception {
        ParameterFacts facts =
                Samples.parameter("t", Shape.of(4000), Map.of("fp32", DType.FLOAT32));
        TensorBytes tensors =
                Samples.write(
                        new UniversalFormat(Samples.TINY),
                        folder,
                        List.of(facts),
                        List.of(),
                        Map.of("compress", "zstd"));
        TensorEntry tensor = TensorBytes.entry(Samples.whole(Samples.index(folder), "t"), "fp32");
        byte[] expected = tensors.get("t", "fp32");
        try (ByteReader reader = tensor.source().open()) {
            boolean same =
                    Stream.iterate(0, n -> n < expected.length, n -> n + 40)
                            .parallel()
                            .allMatch(from -> sameAt(reader, tensor, expected, from));
            assertThat(same).isTrue();
        }
    }

    private static boolean sameAt(
            ByteReader reader, TensorEntry tensor, byte[] expected, int from) {
        try {
            ByteBuffer into = ByteBuffer.allocate(40);
            reader.read(tensor.offset() + from, into);
            return into.flip().equals(ByteBuffer.wrap(expected, from, 40));
        } catch (IOException _) {
            return false;
        }
    }

    @Test
    void writesTheSameBytesEveryTime() throws IOException {
        List<CarriedFile> carried = Samples.carried(folder);
        for (String name : List.of("a", "b")) {
            Samples.write(
                    new UniversalFormat(Samples.TINY),
                    folder.resolve(name),
                    Samples.parameters(),
                    carried,
                    Map.of());
        }
        try (Stream<Path> files = Files.walk(folder.resolve("a"))) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Path other = folder.resolve("b").resolve(folder.resolve("a").relativize(file));
                assertThat(other).hasSameBinaryContentAs(file);
            }
        }
    }

    @Test
    void carriesTreesStoragesAndSideFiles() throws IOException {
        List<CarriedFile> carried = Samples.carried(folder);
        Path out = folder.resolve("out");
        UniversalFormat format = new UniversalFormat();
        Samples.write(format, out, Samples.parameters(), carried, Map.of());
        CheckpointIndex index = Samples.index(out);
        assertThat(format.damage(index)).isEmpty();
        List<CarriedFile> back = index.carried();

        assertThat(back).hasSize(2);
        CarriedFile model = back.getFirst();
        assertThat(model.path()).isEqualTo("deep/mp_rank_00 model?.pt");
        assertThat(model.role()).isEqualTo("model_states");
        assertThat(model.at()).isEqualTo(carried.getFirst().at());
        assertThat(model.file()).isEmpty();
        assertThat(PickleGraph.same(model.root().orElseThrow(), Samples.tree())).isTrue();
        assertThat(model.storages().keySet()).containsExactlyInAnyOrder("0", "1", "2", "10");
        assertThat(model.storages().get("2")).isEqualTo(carried.getFirst().storages().get("2"));
        assertThat(raw(model, "0", 0)).containsExactly(7, 6, 5, 4, 3, 2);
        assertThat(raw(model, "10", 0)).isEmpty();
        assertThat(raw(model, "10", 1)).containsExactly(8, 7, 6, 5);
        assertThat(storage(model, "10").content().get(1).offset()).isEqualTo(8);

        try (ByteReader reader = back.get(1).file().orElseThrow().open()) {
            ByteBuffer text = ByteBuffer.allocate(20);
            reader.read(0, text);
            assertThat(new String(text.array(), StandardCharsets.US_ASCII))
                    .isEqualTo("{\"hidden_size\": 64}\n");
        }
    }

    private static CarriedFile.Storage storage(CarriedFile file, String key) {
        return Optional.ofNullable(file.storages().get(key)).orElseThrow();
    }

    private static byte[] raw(CarriedFile file, String key, int number) throws IOException {
        Content.Raw raw = (Content.Raw) storage(file, key).content().get(number);
        try (ByteReader reader = raw.source().open()) {
            ByteBuffer into = ByteBuffer.allocate((int) raw.size());
            reader.read(raw.sourceOffset(), into);
            return into.array();
        }
    }

    @Test
    void archivesOpenAsOrdinaryZips() throws IOException {
        Path out = folder.resolve("out");
        Samples.write(
                new UniversalFormat(),
                out,
                Samples.parameters(),
                Samples.carried(folder),
                Map.of());
        try (ZipFile zip = new ZipFile(out.resolve("carried/config.json.zip").toFile())) {
            byte[] content =
                    zip.getInputStream(zip.getEntry(CarriedArchive.CONTENT)).readAllBytes();
            assertThat(content).isEqualTo(Files.readAllBytes(folder.resolve("config.json")));
        }
        Path model = out.resolve("carried/deep/mp_rank_00%20model%3F.pt.zip");
        try (ZipFile zip = new ZipFile(model.toFile())) {
            assertThat(zip.stream().map(ZipEntry::getName))
                    .containsExactly(
                            "tree.pkl", "tree.json", "storages.json", "data/0", "data/1", "data/2");
            String tree =
                    new String(
                            zip.getInputStream(zip.getEntry("tree.json")).readAllBytes(),
                            StandardCharsets.UTF_8);
            assertThat(tree).contains("\"iteration\" : 3", "ünï");
            assertThat(zip.getInputStream(zip.getEntry("data/0")).readAllBytes())
                    .containsExactly(7, 6, 5, 4, 3, 2);
        }
    }

    @Test
    void findsTheFolderByItsManifest() throws IOException {
        assertThat(new UniversalFormat().find(folder)).isEmpty();
        Samples.write(new UniversalFormat(), folder, Samples.parameters(), List.of(), Map.of());
        assertThat(new UniversalFormat().find(folder))
                .containsExactly(
                        new CheckpointFormat.Candidate("universal", folder, "global_step3", ""));
    }

    @Test
    void leavesOtherManifestsAlone() throws IOException {
        Files.writeString(folder.resolve("manifest.json"), "{\"name\": \"a web page\"}");
        assertThat(new UniversalFormat().find(folder)).isEmpty();
    }

    @Test
    void isAService() {
        assertThat(CheckpointFormat.all().stream().map(CheckpointFormat::name))
                .contains("universal");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "lz4",
                "zstd:0",
                "zstd:23",
                "zstd:",
                "zstd:-1",
                "",
                "none+shuffle",
                "zstd+",
                "+shuffle"
            })
    void refusesCompressionThatItLacks(String compress) {
        assertThatThrownBy(
                        () ->
                                new UniversalFormat()
                                        .layout(
                                                Samples.request(
                                                        List.of(),
                                                        List.of(),
                                                        Map.of("compress", compress))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("expected none, zstd or zstd:1 to zstd:22");
    }

    @Test
    void refusesOptionsThatItLacks() {
        assertThatThrownBy(
                        () ->
                                new UniversalFormat()
                                        .layout(
                                                Samples.request(
                                                        List.of(),
                                                        List.of(),
                                                        Map.of("shards", "4"))))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("option \"shards\"");
    }
}
