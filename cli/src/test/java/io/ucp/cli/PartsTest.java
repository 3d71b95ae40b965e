package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// A model taken apart and put together again.
final class PartsTest {
    private static final Path MODEL = Run.sample("hf-llama-sharded");
    private static final Path JOB = Run.sample("llama-tp2-pp2-dp2");

    @TempDir private Path folder;
    private Path body = Path.of("");
    private Path head = Path.of("");

    @BeforeEach
    void split() {
        body = part("body", "model");
        head = part("head", "lm_head");
    }

    private Path part(String name, String component, String... more) {
        Path out = folder.resolve(name);
        Object[] all = {"split", MODEL, "-o", out, "--to", "safetensors", "--component", component};
        Object[] args = Arrays.copyOf(all, all.length + more.length);
        System.arraycopy(more, 0, args, all.length, more.length);
        Run.ucp(args).isDone();
        return out;
    }

    @Test
    void aPartHoldsTheParametersOfItsComponentAndNoOthers() {
        assertThat(Run.ucp("digest", head).isDone().out())
                .isEqualTo(
                        Run.ucp("digest", MODEL)
                                .isDone()
                                .out()
                                .lines()
                                .filter(line -> line.contains("lm_head"))
                                .map(line -> line + "\n")
                                .reduce("", String::concat));
        assertThat(Files.exists(head.resolve("config.json"))).isTrue();
    }

    @Test
    void partsJoinedAreTheWhole() {
        Path whole = folder.resolve("whole");
        Run.ucp("join", body, head, "-o", whole, "--to", "safetensors").isDone();
        Run.ucp("verify", whole, MODEL).isDone();
        assertThat(whole.resolve("config.json"))
                .hasSameBinaryContentAs(MODEL.resolve("config.json"));
    }

    @Test
    void severalComponentsAreOnePart() {
        Path both = part("both", "model.layers", "--component", "lm_head");
        assertThat(Run.ucp("inspect", both).isDone().out())
                .contains("lm_head.weight", "model.layers.")
                .doesNotContain("embed_tokens");
    }

    @Test
    void namesThatWereStrippedComeBackByAWordBeforeThePart() {
        Path stripped = part("stripped", "model", "--strip");
        assertThat(Run.ucp("inspect", stripped).isDone().out())
                .contains("embed_tokens.weight")
                .doesNotContain("model.embed_tokens");
        assertThat(stripped.resolve("config.json")).doesNotExist();
        Path whole = folder.resolve("whole");
        Run.ucp("join", "model=" + stripped, head, "-o", whole, "--to", "universal").isDone();
        Run.ucp("verify", whole, MODEL).isDone();
    }

    /// A model of three parts, as LLaVA is one.
    private Path llava() throws IOException {
        Path llava = Files.createDirectory(folder.resolve("llava"));
        Files.writeString(
                llava.resolve("config.json"),
                """
                {
                  "architectures": ["LlavaForConditionalGeneration"],
                  "dtype": "bfloat16",
                  "model_type": "llava",
                  "text_config": {"model_type": "llama", "num_attention_heads": 2, "vocab_size": 5},
                  "tie_word_embeddings": false,
                  "vision_config": {"dtype": "float32", "model_type": "clip_vision_model"}
                }
                """);
        Files.writeString(llava.resolve("tokenizer.json"), "{}");
        Map<String, int[]> shapes = new TreeMap<>();
        shapes.put("language_model.lm_head.weight", new int[] {5, 4});
        shapes.put("language_model.model.embed_tokens.weight", new int[] {5, 4});
        shapes.put("multi_modal_projector.linear_1.weight", new int[] {4, 3});
        shapes.put("vision_tower.vision_model.pre_layrnorm.weight", new int[] {3});
        Files.write(llava.resolve("model.safetensors"), SmallLlama.weights(shapes));
        return llava;
    }

    private Path stripped(Path whole, String component, String to) {
        Path out = folder.resolve(component);
        Run.ucp("split", whole, "-o", out, "--to", to, "--component", component, "--strip")
                .isDone();
        return out;
    }

    @Test
    void aStrippedPartHasTheConfigurationThatTheWholesFileHasOfIt() throws IOException {
        Path llava = llava();
        assertThat(stripped(llava, "language_model", "safetensors").resolve("config.json"))
                .hasContent(
                        """
                        {
                          "model_type" : "llama",
                          "num_attention_heads" : 2,
                          "vocab_size" : 5,
                          "dtype" : "bfloat16",
                          "tie_word_embeddings" : false
                        }
                        """);
        assertThat(stripped(llava, "vision_tower", "dcp").resolve("config.json"))
                .content()
                .contains("\"clip_vision_model\"", "\"float32\"")
                .doesNotContain("bfloat16");
    }

    @Test
    void aStrippedPartThatTheWholeSaysNothingOfHasNoConfiguration() throws IOException {
        Path out = folder.resolve("projector");
        String name = "multi_modal_projector";
        Run run =
                Run.ucp(
                                "split",
                                llava(),
                                "-o",
                                out,
                                "--to",
                                "safetensors",
                                "--strip",
                                "--component",
                                name)
                        .isDone();
        assertThat(run.out())
                .contains(
                        "config.json: none, for the whole's says nothing of this part by itself;"
                            + " the whole's is config.whole.json, which `ucp join` makes it again");
        assertThat(out.resolve("config.json")).doesNotExist();
    }

    @ParameterizedTest
    @ValueSource(strings = {"safetensors", "universal", "dcp", "torch"})
    void strippedPartsOfAnyFormatJoinedAreEveryByteOfTheWhole(String format) throws IOException {
        Path llava = llava();
        Path whole = folder.resolve("whole");
        Run.ucp(
                        "join",
                        "language_model=" + stripped(llava, "language_model", format),
                        "multi_modal_projector=" + stripped(llava, "multi_modal_projector", format),
                        "vision_tower=" + stripped(llava, "vision_tower", format),
                        "-o",
                        whole,
                        "--to",
                        "safetensors")
                .isDone();
        for (String file : List.of("config.json", "model.safetensors", "tokenizer.json")) {
            assertThat(whole.resolve(file)).hasSameBinaryContentAs(llava.resolve(file));
        }
        try (var files = Files.list(whole)) {
            assertThat(files).hasSize(3);
        }
    }

    @Test
    void aConfigurationThatWasChangedInThePartIsToldAsLost() throws IOException {
        Path part = stripped(llava(), "language_model", "safetensors");
        Path config = part.resolve("config.json");
        Files.writeString(config, Files.readString(config).replace(": 5", ": 7"));

        assertThat(
                        Run.ucp(
                                        "join",
                                        "language_model=" + part,
                                        head,
                                        "-o",
                                        folder.resolve("joined"),
                                        "--to",
                                        "universal")
                                .isDone()
                                .out())
                .contains("left behind, for it is of a part, not of the whole")
                .contains("config.json");
    }

    @Test
    void theConfigurationOfAPartFromElsewhereIsNotThatOfTheWhole() throws IOException {
        Path out = folder.resolve("joined");
        Run run =
                Run.ucp(
                        "join",
                        "language_model=" + llava(),
                        head,
                        "-o",
                        out,
                        "--to",
                        "safetensors");
        assertThat(run.isDone().out())
                .contains("left behind, for it is of a part, not of the whole");
        assertThat(out.resolve("config.json")).hasSameBinaryContentAs(MODEL.resolve("config.json"));
    }

    @Test
    void partsOfAnyFormatAreJoined() {
        Path universal = folder.resolve("universal");
        Run.ucp("convert", head, "-o", universal, "--to", "universal").isDone();
        Path whole = folder.resolve("whole");
        Run.ucp("join", body, universal, "-o", whole, "--to", "torch").isDone();
        Run.ucp("verify", whole, MODEL).isDone();
    }

    @Test
    void whatIsOfTheWholeJobIsToldAsLostAndStrictRefusesIt() {
        Object[] args = {"split", JOB, "-o", folder.resolve("j"), "--to", "universal"};
        Object[] named = Arrays.copyOf(args, args.length + 3);
        named[args.length] = "--component";
        named[args.length + 1] = "1";
        named[args.length + 2] = "--strict";
        Run strict = Run.ucp(named).endsWith(ExitCode.REFUSED);
        assertThat(strict.err()).contains("left behind, for they are of the whole model");
        assertThat(folder.resolve("j")).doesNotExist();
        named[args.length + 2] = "--quiet";
        Run.ucp(named).isDone();
        assertThat(Run.ucp("inspect", folder.resolve("j")).isDone().out())
                .contains("exp_avg", "1.word_embeddings.weight");
    }

    @Test
    void aComponentThatNothingIsOfIsRefusedWithThoseThereAre() {
        Run run =
                Run.ucp(
                                "split",
                                MODEL,
                                "-o",
                                folder.resolve("x"),
                                "--to",
                                "safetensors",
                                "--component",
                                "mod")
                        .endsWith(ExitCode.REFUSED);
        assertThat(run.err()).contains("lm_head (parameters: 1), model (parameters: 20)");
        assertThat(folder.resolve("x")).doesNotExist();
    }

    @Test
    void aNameOfWhichNothingWouldBeLeftIsRefused() {
        Run run =
                Run.ucp(
                                "split",
                                MODEL,
                                "-o",
                                folder.resolve("x"),
                                "--to",
                                "universal",
                                "--component",
                                "lm_head.weight",
                                "--strip")
                        .endsWith(ExitCode.REFUSED);
        assertThat(run.err()).contains("leave --strip out");
    }

    @Test
    void aParameterThatTwoPartsHoldIsRefused() {
        Run run =
                Run.ucp("join", MODEL, head, "-o", folder.resolve("x"), "--to", "universal")
                        .endsWith(ExitCode.REFUSED);
        assertThat(run.err()).contains("`lm_head.weight`", "every parameter in one part only");
        assertThat(folder.resolve("x")).doesNotExist();
    }

    @Test
    void ranksOfAJobAreNoTarget() {
        Run run =
                Run.ucp(
                                "split",
                                JOB,
                                "-o",
                                folder.resolve("x"),
                                "--to",
                                "deepspeed",
                                "--component",
                                "1")
                        .endsWith(ExitCode.USAGE);
        assertThat(run.err()).contains("`ucp convert` makes the ranks");
    }

    @Test
    void aFlippedByteInAnyPartIsFound() throws IOException {
        Path torch = folder.resolve("torch");
        Run.ucp("convert", head, "-o", torch, "--to", "torch").isDone();
        Path file;
        try (var files = Files.list(torch)) {
            file = files.filter(f -> f.toString().endsWith(".bin")).findFirst().orElseThrow();
        }
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length / 2] ^= 1;
        Files.write(file, bytes);
        Run.ucp("join", body, torch, "-o", folder.resolve("x"), "--to", "universal")
                .endsWith(ExitCode.MALFORMED_INPUT);
        assertThat(folder.resolve("x")).doesNotExist();
    }
}
