package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.bind.Renamed;
import io.ucp.checkpoint.Renaming;
import io.ucp.execute.Options;
import io.ucp.execute.PlanExecutor;
import io.ucp.execute.Progress;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.formats.torch.TorchFile;
import io.ucp.formats.torch.pickle.PickleGraph;
import io.ucp.plan.Planner;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/// A real checkpoint under the names of another framework, held against slices of the tensors under
/// its own names.
class RenamedSampleTest {
    private static final Path SOURCE = Path.of("../samples/llama-tp2-pp2-dp2/checkpoint");
    private static final Path SPEC = Path.of("src/test/resources/rename/llama.ucl");
    private static final int HIDDEN = 64;
    private static final int HEADS = 8;
    private static final int HEAD = 8;
    private static final int FFN = 128;

    @TempDir Path folder;

    private Path run(Path source, String to, Optional<Path> spec, String name) throws IOException {
        Path output = folder.resolve(name);
        Request request =
                new Request(
                        source, Optional.empty(), to, spec.map(Path::toString), Map.of(), Map.of());
        Conversion.run(Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
        return output;
    }

    private static Described described(Path source, Optional<Path> spec) throws IOException {
        return Described.of(source, Optional.empty(), spec.map(Path::toString), Map.of());
    }

    private static FloatBuffer tensor(Path root, String parameter, String state)
            throws IOException {
        Path path =
                root.resolve("global_step3_universal/zero")
                        .resolve(parameter)
                        .resolve(state + ".pt");
        TorchFile file = TorchFile.open(path);
        byte[] bytes = Files.readAllBytes(path);
        List<FloatBuffer> found = new ArrayList<>();
        PickleGraph.forEach(
                file.tree(),
                node ->
                        file.tensor(node)
                                .ifPresent(
                                        t ->
                                                found.add(
                                                        ByteBuffer.wrap(
                                                                        bytes,
                                                                        (int) file.position(t),
                                                                        (int) t.size())
                                                                .slice()
                                                                .order(ByteOrder.LITTLE_ENDIAN)
                                                                .asFloatBuffer())));
        return found.getFirst();
    }

    private static FloatBuffer rows(FloatBuffer whole, int[] rows) {
        FloatBuffer out = FloatBuffer.allocate(rows.length * HIDDEN);
        for (int row : rows) {
            out.put(whole.slice(row * HIDDEN, HIDDEN));
        }
        return out.flip();
    }

    @Test
    void everyStateIsTheSliceOfTheFusedOneThatItsNameMeans() throws IOException {
        Path renamed = run(SOURCE, "deepspeed-universal", Optional.of(SPEC), "renamed");
        Path own = run(SOURCE, "deepspeed-universal", Optional.empty(), "own");
        for (String state : List.of("fp32", "exp_avg", "exp_avg_sq")) {
            for (int layer = 2; layer < 6; layer++) {
                String there = "model.layers." + layer + ".";
                FloatBuffer qkv =
                        tensor(own, layer + ".self_attention.query_key_value.weight", state);
                for (int part = 0; part < 3; part++) {
                    int[] rows = new int[HEADS * HEAD];
                    for (int row = 0; row < rows.length; row++) {
                        int head = row / HEAD;
                        int d = row % HEAD;
                        // [pairs, 2] on disk becomes [2, pairs] for queries and keys.
                        int from = part == 2 ? d : d % (HEAD / 2) * 2 + d / (HEAD / 2);
                        rows[row] = (head * 3 + part) * HEAD + from;
                    }
                    String name = "self_attn.%s_proj.weight".formatted("qkv".charAt(part));
                    assertThat(tensor(renamed, there + name, state)).isEqualTo(rows(qkv, rows));
                }
                FloatBuffer up = tensor(own, layer + ".mlp.dense_h_to_4h.weight", state);
                assertThat(tensor(renamed, there + "mlp.gate_proj.weight", state))
                        .isEqualTo(up.slice(0, FFN * HIDDEN));
                assertThat(tensor(renamed, there + "mlp.up_proj.weight", state))
                        .isEqualTo(up.slice(FFN * HIDDEN, FFN * HIDDEN));
                assertThat(tensor(renamed, there + "self_attn.o_proj.weight", state))
                        .isEqualTo(tensor(own, layer + ".self_attention.dense.weight", state));
            }
            assertThat(tensor(renamed, "lm_head.weight", state))
                    .isEqualTo(tensor(own, "7.lm_head.weight", state));
        }
    }

    @Test
    void byWayOfUniversalTheSameComesOut() throws IOException {
        Path direct = run(SOURCE, "deepspeed-universal", Optional.of(SPEC), "direct");
        Path universal = run(SOURCE, "universal", Optional.of(SPEC), "universal");
        Path again = run(universal, "deepspeed-universal", Optional.empty(), "again");
        assertThat(
                        Verification.compare(
                                        described(direct, Optional.empty()),
                                        described(again, Optional.empty()),
                                        RunOptions.standard(),
                                        Progress.NONE)
                                .differences())
                .isEmpty();
        Verification.Verdict same =
                Verification.compare(
                        described(SOURCE, Optional.of(SPEC)),
                        described(universal, Optional.empty()),
                        RunOptions.standard(),
                        Progress.NONE);
        assertThat(same.differences()).isEmpty();
        assertThat(same.states()).isEqualTo(39 * 4);
    }

    @Test
    void theWayBackGivesTheStateThatWas() throws IOException {
        Described described = described(SOURCE, Optional.of(SPEC));
        List<Renamed> back =
                described.sharding().orElseThrow().renames().stream()
                        .map(Renamed::inverse)
                        .toList();
        Described returned =
                new Described(
                        described.source(),
                        "",
                        "",
                        Optional.empty(),
                        described.held(),
                        Optional.empty(),
                        Renaming.apply(described.inventory(), back));
        Verification.Verdict same =
                Verification.compare(
                        described(SOURCE, Optional.empty()),
                        returned,
                        RunOptions.standard(),
                        Progress.NONE);
        assertThat(same.differences()).isEmpty();
        assertThat(returned.inventory().parameters())
                .extracting(p -> p.facts())
                .containsExactlyElementsOf(
                        described.held().parameters().stream().map(p -> p.facts()).toList());
        assertThat(returned.inventory().carried())
                .extracting(CarriedFile::role)
                .containsExactlyElementsOf(
                        described.held().carried().stream().map(CarriedFile::role).toList());
    }

    /// The storages of the source's own files, made again from renamed parameters alone.
    @Test
    void theSourcesFilesCanStillBeMade() throws IOException {
        Path universal = run(SOURCE, "universal", Optional.of(SPEC), "universal");
        Described renamed = described(universal, Optional.empty());
        List<TargetFile> files = new ArrayList<>();
        Map<String, byte[]> expected = new TreeMap<>();
        int references = 0;
        for (CarriedFile file : renamed.inventory().carried()) {
            for (Map.Entry<String, CarriedFile.Storage> e : file.storages().entrySet()) {
                String path = file.path() + "/" + e.getKey();
                files.add(target(path, e.getValue()));
                references +=
                        (int)
                                e.getValue().content().stream()
                                        .filter(Content.Elements.class::isInstance)
                                        .count();
            }
        }
        assertThat(references).isGreaterThan(100);
        for (CarriedFile file : described(SOURCE, Optional.empty()).inventory().index().carried()) {
            for (Map.Entry<String, CarriedFile.Storage> e : file.storages().entrySet()) {
                byte[] bytes = new byte[(int) e.getValue().size()];
                for (Content part : e.getValue().content()) {
                    if (part instanceof Content.Raw raw) {
                        byte[] all = Files.readAllBytes(raw.source().path());
                        System.arraycopy(
                                all,
                                (int) raw.sourceOffset(),
                                bytes,
                                (int) raw.offset(),
                                (int) raw.size());
                    }
                }
                expected.put(file.path() + "/" + e.getKey(), bytes);
            }
        }
        Path out = Files.createDirectory(folder.resolve("storages"));
        PlanExecutor.execute(
                Planner.plan(renamed.inventory(), files), out, Options.standard(), Progress.NONE);
        assertThat(files).extracting(TargetFile::path).containsAll(expected.keySet());
        for (Map.Entry<String, byte[]> e : expected.entrySet()) {
            assertThat(Files.readAllBytes(out.resolve(e.getKey())))
                    .describedAs(e.getKey())
                    .isEqualTo(e.getValue());
        }
    }

    private static TargetFile target(String path, CarriedFile.Storage storage) {
        List<Part> parts = new ArrayList<>();
        long at = 0;
        for (Content content :
                storage.content().stream()
                        .sorted(Comparator.comparingLong(Content::offset))
                        .toList()) {
            if (content.offset() > at) {
                parts.add(new Part.Zeros(at, content.offset() - at));
            }
            Part part =
                    switch (content) {
                        case Content.Raw raw ->
                                new Part.Copied(
                                        raw.offset(), raw.source(), raw.sourceOffset(), raw.size());
                        case Content.Elements(long offset, var of) -> new Part.Elements(offset, of);
                    };
            parts.add(part);
            at = part.offset() + part.size();
        }
        if (at < storage.size()) {
            parts.add(new Part.Zeros(at, storage.size() - at));
        }
        return new TargetFile(path, storage.size(), parts, List.of(), Optional.empty());
    }

    @Test
    void deepspeedsOwnModelStatesAreNotHandedOutBesideTheNewNames() throws IOException {
        Path renamed = run(SOURCE, "deepspeed-universal", Optional.of(SPEC), "renamed");
        assertThat(renamed.resolve("global_step3_universal/mp_rank_00_model_states.pt"))
                .satisfies(
                        path ->
                                assertThat(TorchFile.open(path).tree().toString())
                                        .doesNotContain("query_key_value"));
        assertThat(described(SOURCE, Optional.of(SPEC)).inventory().carried())
                .filteredOn(file -> file.root().isPresent())
                .allMatch(file -> file.role().startsWith(CarriedFile.BEFORE_RENAME));
    }
}
