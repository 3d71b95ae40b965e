package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// The commands on a real checkpoint: three layers, ZeRO-3 over four ranks.
final class CheckpointCommandsTest {
    private static final Path SOURCE = Run.sample("llama-zero3-dp4");
    private static final Path TAG = SOURCE.resolve("global_step3");

    @TempDir private Path folder;

    @Test
    void convertSaysWhatItTookAndWhatItMade() {
        Path out = folder.resolve("with space ü");
        Run run = Run.ucp("convert", SOURCE, "-o", out, "--to", "universal").isDone();
        assertThat(
                        run.out()
                                .replaceAll("[0-9.]+ s( \\([^)]*\\))?:", "TIME:")
                                .replaceAll("[0-9.]+ MB in", "SIZE in"))
                .isEqualTo(
                        """
                        source    deepspeed checkpoint global_step3 (by latest), iteration 3
                                  %s
                        layout    dp 4 (4 ranks), ZeRO stage 3
                        spec      inferred from the checkpoint's metadata (`ucp infer` prints it)
                        target    universal, SIZE in 11 files: %s
                        done      SIZE in TIME: 30 parameters, 12 files
                        states    exp_avg 30, exp_avg_sq 30, fp32 30, step 30
                        output    %s
                        next      ucp verify '%s'
                                  ucp convert '%s' -o DIR --to FORMAT
                        """
                                .formatted(TAG, out, out, out, out));
        assertThat(out.resolve("manifest.json")).isRegularFile();
        assertThat(folder).isDirectoryNotContaining(path -> !path.equals(out));
    }

    @Test
    void quietConvertSaysNothing() {
        assertThat(convert(folder.resolve("out"), "universal", "-q").isDone().out()).isEmpty();
    }

    @Test
    void progressCanBeHadInAPipe() {
        // Too short for a line, but it must not disturb the rest.
        convert(folder.resolve("out"), "universal", "--progress", "always").isDone();
    }

    @ParameterizedTest
    @ValueSource(strings = {"universal", "deepspeed-universal"})
    void convertedCheckpointHoldsTheSameState(String format) throws IOException {
        Path out = folder.resolve("out");
        convert(out, format).isDone();
        Run equal = Run.ucp("verify", SOURCE, out).isDone();
        assertThat(equal.out()).endsWith("equal: 90 states, 2.74 MB\n");
        assertThat(Run.ucp("digest", out).isDone().out())
                .isEqualTo(Run.ucp("digest", SOURCE).isDone().out());
        Run.ucp("verify", out).isDone();
        Run.ucp("inspect", out).isDone();
        JsonNode verdict = Run.ucp("verify", "--json", SOURCE, out).isDone().json();
        assertThat(verdict.get("equal").asBoolean()).isTrue();
        assertThat(verdict.get("states").asInt()).isEqualTo(90);
    }

    @Test
    void flippedBitIsFoundAndNamed() throws IOException {
        Path out = folder.resolve("out");
        convert(out, "universal", "-q").isDone();
        try (RandomAccessFile file =
                new RandomAccessFile(out.resolve("states/exp_avg-00001.arrow").toFile(), "rw")) {
            long middle = file.length() / 2;
            file.seek(middle);
            int bits = file.read();
            file.seek(middle);
            file.write(bits ^ 1);
        }
        Run compared = Run.ucp("verify", SOURCE, out).endsWith(ExitCode.DIFFERENCE);
        assertThat(compared.err()).isEmpty();
        assertThat(compared.out())
                .startsWith("parameter")
                .contains("  exp_avg  1 element differs ")
                .endsWith("different: 1 difference in 90 states, 2.74 MB\n");
        Run alone = Run.ucp("verify", "--json", out).endsWith(ExitCode.DIFFERENCE);
        JsonNode difference = alone.json().get("differences").get(0);
        assertThat(difference.get("state").asText()).isEqualTo("exp_avg");
        assertThat(difference.get("what").asText()).contains("digest");
    }

    @Test
    void verifyComparesIterationsAndTellsOfCarriedFiles() throws IOException {
        Path out = folder.resolve("out");
        convert(out, "universal", "-q").isDone();
        assertThat(Run.ucp("verify", SOURCE, out).isDone().out()).doesNotContain("carried");
        Path manifest = out.resolve("manifest.json");
        String changed =
                Files.readString(manifest).replaceFirst("\"iteration\": ?3", "\"iteration\":4");
        Files.writeString(manifest, changed);
        // The refusal says which checksum would be right.
        String checksum =
                Run.ucp("inspect", out).err().replaceAll("(?s).*(crc32c:[0-9a-f]{8}).*", "$1");
        Files.writeString(manifest, changed.replaceAll("crc32c:[0-9a-f]{8}", checksum));
        Path other = folder.resolve("other");
        convert(other, "deepspeed-universal", "-q").isDone();

        assertThat(Run.ucp("verify", SOURCE, out).endsWith(ExitCode.DIFFERENCE).out())
                .contains("iteration", "3 in the first, 4 in the second");
        assertThat(Run.ucp("verify", SOURCE, other).isDone().out())
                .contains("carried files that only the first has");
    }

    @Test
    void damagedFileIsNamedOnceInOneLine() throws IOException {
        Path copy = folder.resolve("copy");
        copy(SOURCE, copy);
        Path file = copy.resolve("global_step3/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt");
        try (RandomAccessFile bytes = new RandomAccessFile(file.toFile(), "rw")) {
            long middle = bytes.length() / 2;
            bytes.seek(middle);
            int bits = bytes.read();
            bytes.seek(middle);
            bytes.write(bits ^ 1);
        }
        JsonNode difference =
                Run.ucp("verify", "--json", copy)
                        .endsWith(ExitCode.DIFFERENCE)
                        .json()
                        .get("differences")
                        .get(0);
        assertThat(difference.get("parameter").asText()).isEqualTo(file.toString());
        assertThat(difference.get("what").asText())
                .matches("at byte \\d+: '.*' has the CRC-32 \\w+; expected \\w+, .*");
    }

    @Test
    void planSaysWhatIsNeededAndWritesNothing() throws IOException {
        Path out = folder.resolve("out");
        Run run = Run.ucp("plan", SOURCE, "-o", out, "--to", "universal").isDone();
        assertThat(run.out())
                .containsPattern("reads {5}1\\.37 MB\nwrites {4}1\\.\\d\\d MB\n")
                .containsPattern("disk {6}1\\.\\d\\d MB needed, \\S+ .B free\n")
                .contains("469 kB   states/fp32-00001.arrow\n");
        assertThat(folder).isEmptyDirectory();
        JsonNode json = Run.ucp("plan", "--json", SOURCE, "--to", "universal").isDone().json();
        long sum = 0;
        for (JsonNode file : json.at("/target/files")) {
            sum += file.get("size").asLong();
        }
        assertThat(sum).isEqualTo(json.get("bytes_written").asLong());
        assertThat(json.at("/needs/disk").asLong()).isEqualTo(sum);
        assertThat(json.at("/needs").has("disk_free")).isFalse();
    }

    @Test
    void explainDrawsWhichFileHoldsWhat() {
        Run run =
                Run.ucp(
                                "plan",
                                SOURCE,
                                "--to",
                                "universal",
                                "--explain",
                                "model.layers.0.mlp.down_proj.weight")
                        .isDone();
        String row = "  %s\n";
        assertThat(run.out())
                .startsWith("model.layers.0.mlp.down_proj.weight  [48, 106]\n")
                .contains("fp32, exp_avg, exp_avg_sq  float32, held once\n")
                .contains(row.formatted("A".repeat(48)) + row.formatted("B".repeat(48)))
                .contains("  48 rows x 106 columns, sampled\n")
                .containsPattern(
                        "B  \\[12:24, :\\]  bf16_zero_pp_rank_1_mp_rank_00\\S+  \\d+\\.\\.\\d+");
    }

    @Test
    void explainGivesEveryElementOnceInJson() throws IOException {
        JsonNode json =
                Run.ucp(
                                "plan",
                                SOURCE,
                                "--json",
                                "--to",
                                "universal",
                                "--explain",
                                "model.embed_tokens.weight")
                        .isDone()
                        .json();
        for (JsonNode holding : json.get("holdings")) {
            long count = 0;
            for (JsonNode fragment : holding.at("/copies/0/fragments")) {
                long box = 1;
                for (JsonNode extent : fragment.get("extent")) {
                    box *= extent.asLong();
                }
                count += box;
            }
            assertThat(count).isEqualTo(517 * 48);
        }
    }

    @Test
    void explainOfAnUnknownNameProposesOne() {
        Run run =
                Run.ucp("plan", SOURCE, "--to", "universal", "--explain", "model.norm.weigth")
                        .endsWith(ExitCode.USAGE);
        assertThat(run.err())
                .isEqualTo(
                        """
                        ucp plan: no parameter is named 'model.norm.weigth'; did you mean \
                        'model.norm.weight'?
                        Try `ucp plan --help`.
                        """);
    }

    @Test
    void inspectFoldsLayersAndDrawsRanks() {
        Run run = Run.ucp("inspect", SOURCE).isDone();
        assertThat(run.out())
                .contains("holds     30 parameters, 114,192 elements\n")
                .contains("| dp 3     343 kB |\n")
                .contains("every parameter has float32: exp_avg exp_avg_sq fp32; step\n")
                .contains("model.layers.{0-2}.self_attn.k_proj.weight          x 3  [16, 48]\n");
        Run all = Run.ucp("inspect", "--all", SOURCE).isDone();
        assertThat(all.out()).contains("model.layers.1.self_attn.k_proj.weight");
    }

    @Test
    void inspectNamesFrozenTiedAndTypes() {
        Run run = Run.ucp("inspect", Run.sample("gpt2-zero2-tied-frozen")).isDone();
        assertThat(run.out())
                .containsPattern("transformer.wte.weight +\\[517, 40\\] .* tied\n")
                .containsPattern("transformer.h.0.ln_1.weight .* frozen\n")
                .contains("weight      28          62,760    126 kB  bfloat16\n");
    }

    @Test
    void inspectIsCompleteInJson() throws IOException {
        JsonNode json = Run.ucp("inspect", "--json", SOURCE).isDone().json();
        assertThat(json.at("/source/format").asText()).isEqualTo("deepspeed");
        assertThat(json.at("/source/pointer").asText()).isEqualTo("latest");
        assertThat(json.at("/source/iteration").asInt()).isEqualTo(3);
        assertThat(json.at("/source/zero_stage").asInt()).isEqualTo(3);
        assertThat(json.get("parameters")).hasSize(30);
        JsonNode first = json.get("parameters").get(0);
        assertThat(first.get("name").asText()).isEqualTo("model.embed_tokens.weight");
        assertThat(first.get("shape").toString()).isEqualTo("[517,48]");
        assertThat(first.at("/states/fp32").asText()).isEqualTo("float32");
        assertThat(first.at("/scalars/step/value").asText()).isEqualTo("3.0");
        assertThat(json.get("carried")).hasSize(8);
    }

    @Test
    void carriedStateIsReadable() throws IOException {
        String file = "zero_pp_rank_0_mp_rank_00_model_states.pt";
        Run run = Run.ucp("inspect", SOURCE, "--carried", file).isDone();
        assertThat(run.out()).startsWith(file + "\ndict of ").contains("\n  'ds_version' '");
        JsonNode json = Run.ucp("inspect", SOURCE, "--json", "--carried", file).isDone().json();
        assertThat(json.get("carried")).hasSize(1);
        assertThat(json.at("/carried/0/content/ds_version").isTextual()).isTrue();
        Run all = Run.ucp("inspect", SOURCE, "--carried").isDone();
        assertThat(all.out()).contains("\nbf16_zero_pp_rank_3_mp_rank_00_optim_states.pt\n");
        Run none = Run.ucp("inspect", SOURCE, "--carried", "x").endsWith(ExitCode.USAGE);
        assertThat(none.err()).startsWith("ucp inspect: the checkpoint carries no file 'x'; ");
    }

    @Test
    void inferredSpecIsFormattedAndDescribesTheCheckpoint() throws IOException {
        String spec = Run.ucp("infer", SOURCE).isDone().out();
        Path file = Files.writeString(folder.resolve("inferred.ucl"), spec);
        Run.ucp("fmt", "--check", file).isDone();
        assertThat(Run.ucp("check", file, "--against", SOURCE).isDone().out())
                .isEqualTo(
                        "%s: describes %s: 30 parameters, every element once\n"
                                .formatted(file, SOURCE));
        Path out = folder.resolve("out");
        Run converted = convert(out, "universal", "--spec", file.toString()).isDone();
        assertThat(converted.out()).contains("spec      " + file + "\n");
        Run.ucp("verify", out, SOURCE).isDone();
    }

    @Test
    void specThatDoesNotFitEndsCheckWithOne() throws IOException {
        Path spec =
                Files.writeString(
                        folder.resolve("x.ucl"), "ucl 1\n\nspec x\n\nparam \"nope\" { unique }\n");
        Run.ucp("check", spec).isDone();
        Run run = Run.ucp("check", spec, "--against", SOURCE).endsWith(ExitCode.DIFFERENCE);
        assertThat(run.out()).contains(spec + ":5:7: error: ");
        assertThat(run.err()).isEmpty();
        JsonNode json =
                Run.ucp("check", "--json", spec, "--against", SOURCE)
                        .endsWith(ExitCode.DIFFERENCE)
                        .json();
        assertThat(json.get("fits").asBoolean()).isFalse();
        assertThat(json.get("diagnostics")).isNotEmpty();
        Run convert =
                convert(folder.resolve("out"), "universal", "--spec", spec.toString())
                        .endsWith(ExitCode.USAGE);
        assertThat(convert.err()).contains(spec + ":5:7: error: ");
    }

    /// As `docs/json.md` lists them.
    @Test
    void reportsHaveTheirFields() throws IOException {
        Path out = folder.resolve("out");
        assertThat(fields(convert(out, "universal", "--json")))
                .containsExactly(
                        "source",
                        "spec",
                        "target",
                        "parameters",
                        "states",
                        "bytes_read",
                        "bytes_written",
                        "bytes_kept",
                        "bytes_cloned",
                        "seconds",
                        "digests",
                        "differences",
                        "losses",
                        "findings");
        assertThat(fields(Run.ucp("plan", "--json", SOURCE, "--to", "universal")))
                .containsExactly(
                        "source",
                        "spec",
                        "target",
                        "parameters",
                        "bytes_read",
                        "bytes_written",
                        "steps",
                        "needs",
                        "losses",
                        "findings");
        assertThat(fields(Run.ucp("inspect", "--json", SOURCE)))
                .containsExactly(
                        "source", "spec", "states", "parameters", "carried", "notes", "findings");
        assertThat(fields(Run.ucp("inspect", "--json", "--carried", "", SOURCE)))
                .containsExactly("carried");
        assertThat(fields(Run.ucp("infer", "--json", SOURCE))).containsExactly("source", "spec");
        assertThat(fields(Run.ucp("verify", "--json", out)))
                .containsExactly("equal", "states", "bytes", "differences", "notes");
        assertThat(fields(Run.ucp("digest", "--json", out))).containsExactly("digests");
    }

    private static List<String> fields(Run run) throws IOException {
        List<String> names = new ArrayList<>();
        run.isDone().json().fieldNames().forEachRemaining(names::add);
        return names;
    }

    @Test
    void pathsMayHoldAnything() throws IOException {
        Path odd = folder.resolve("a b/'q' $x ü 漢 [re.*]");
        copy(SOURCE, odd);
        Path out = folder.resolve("out dir/ö %s");
        Run.ucp("convert", odd, "-o", out, "--to", "deepspeed-universal").isDone();
        assertThat(Run.ucp("verify", odd, out).isDone().out()).contains("equal: ");
    }

    private Run convert(Path out, String format, String... options) {
        List<Object> args = new ArrayList<>(List.of("convert", SOURCE, "-o", out, "--to", format));
        args.addAll(List.of(options));
        return Run.ucp(args.toArray());
    }

    static void copy(Path from, Path to) throws IOException {
        try (Stream<Path> paths = Files.walk(from)) {
            for (Path path : paths.toList()) {
                Path target = to.resolve(from.relativize(path).toString());
                Files.createDirectories(target.getParent());
                Files.copy(path, target);
            }
        }
    }
}
