package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// A job of pp 2, dp 2, tp 2 and four layers, and what is left of its eight GPUs.
final class LayoutsCommandTest {
    private static final Path SOURCE = Run.sample("llama-tp2-pp2-dp2");
    private static final Path PLAIN = Run.sample("llama-zero3-dp4");

    @TempDir private Path folder;

    @Test
    void theSmallestMoveIsFirst() throws IOException {
        JsonNode found = Run.ucp("layouts", SOURCE, "--gpus", 4, "--json").isDone().json();
        List<String> layouts = new ArrayList<>();
        found.path("layouts")
                .forEach(
                        l ->
                                layouts.add(
                                        "%s x %s x %s: %s"
                                                .formatted(
                                                        l.path("pp"),
                                                        l.path("dp"),
                                                        l.path("tp"),
                                                        l.path("moves"))));
        assertThat(layouts)
                .containsExactly(
                        "2 x 1 x 2: [\"dp 2 -> 1\"]",
                        "2 x 2 x 1: [\"tp 2 -> 1\"]",
                        "1 x 2 x 2: [\"pp 2 -> 1\"]",
                        "1 x 1 x 4: [\"tp 2 -> 4\",\"pp 2 -> 1\",\"dp 2 -> 1\"]",
                        "4 x 1 x 1: [\"tp 2 -> 1\",\"pp 2 -> 4\",\"dp 2 -> 1\"]",
                        "1 x 4 x 1: [\"tp 2 -> 1\",\"pp 2 -> 1\",\"dp 2 -> 4\"]");
    }

    @Test
    void eachIsGivenWithTheCommandThatConvertsToIt() {
        assertThat(Run.ucp("layouts", SOURCE, "--gpus", 4).isDone().out())
                .contains(
                        "1         ucp convert %s -o OUT --to deepspeed --tp 2 --pp 2 --dp 1 --zero 1\n"
                                .formatted(SOURCE))
                .contains(
                        "left out  ZeRO 2: ZeRO stage 2 of a pipeline's modules; expected stage 0"
                                + " or 1");
    }

    @Test
    void tensorParallelRanksStayInOneMachine() throws IOException {
        Run.ucp("layouts", SOURCE, "--gpus", 4, "--nodes", 4, "--json")
                .isDone()
                .json()
                .path("layouts")
                .forEach(l -> assertThat(l.path("tp").intValue()).isOne());
    }

    @Test
    void whatNeedsMoreMemoryIsLeftOut() throws IOException {
        JsonNode found =
                Run.ucp("layouts", SOURCE, "--gpus", 4, "--gpu-memory", "1M", "--json")
                        .isDone()
                        .json();
        assertThat(found.path("layouts")).isEmpty();
        assertThat(found.path("too_large").intValue()).isEqualTo(6);
    }

    @Test
    void convertTakesTheFirst() {
        Path out = folder.resolve("out");
        assertThat(
                        Run.ucp("convert", SOURCE, "-o", out, "--to", "deepspeed", "--gpus", 4)
                                .isDone()
                                .out())
                .contains("job       pp 2 x tp 2 (4 ranks), ZeRO stage 1\n");
        Run.ucp("verify", SOURCE, out).isDone();
    }

    @Test
    void aLayoutOfItsOwnIsSaidToBeOne() {
        assertThat(Run.ucp("plan", SOURCE, "--to", "deepspeed").isDone().out())
                .contains("the source has this layout already: nothing to do but to copy it");
    }

    @Test
    void everyLayoutHoldsTheSameStateAndGivesTheFirstOneBack() {
        Path wide = folder.resolve("wide");
        Path back = folder.resolve("back");
        Run.ucp(
                        "convert",
                        SOURCE,
                        "-o",
                        wide,
                        "--to",
                        "deepspeed",
                        "--tp",
                        4,
                        "--pp",
                        1,
                        "--dp",
                        3,
                        "-q")
                .isDone();
        Run.ucp("verify", SOURCE, wide).isDone();
        Run.ucp(
                        "convert",
                        wide,
                        "-o",
                        back,
                        "--to",
                        "deepspeed",
                        "--tp",
                        2,
                        "--pp",
                        2,
                        "--dp",
                        2,
                        "-q")
                .isDone();
        Run.ucp("verify", SOURCE, back).isDone();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--tp 3|tp 3 over 8 attention heads; expected equally many on every rank: tp 1, 2,"
                        + " 4 or 8",
                "--pp 5|pp 5 over 4 layers; expected a layer or more for every stage: pp 1 to 4",
                "--zero 3|ZeRO stage 3 of a pipeline's modules; expected stage 0 or 1: DeepSpeed's"
                        + " pipeline engine takes no other",
                "--pp 2 --stages 4,1|--stages 4,1, 5 layers on 2 stages; expected 2 stages of a"
                        + " layer or more, 4 layers in all",
                "--gpus 2 --tp 2|--gpus finds the degrees; expected it without degrees and stages",
                "--tp 0|--tp is 0; expected 1 to 1048576",
                "--zero 4|--zero is 4; expected 0 to 3",
            })
    void layoutsThatTheModelCannotHaveAreUsage(String options, String message) {
        List<Object> args = new ArrayList<>(List.of("plan", SOURCE, "--to", "deepspeed"));
        args.addAll(List.of(options.split(" ")));
        assertThat(Run.ucp(args.toArray()).endsWith(ExitCode.USAGE).err())
                .startsWith("ucp plan: " + message + "\n");
    }

    @Test
    void degreesAreForRankShardedTargetsOnly() {
        assertThat(
                        Run.ucp("plan", SOURCE, "--to", "universal", "--dp", 2)
                                .endsWith(ExitCode.USAGE)
                                .err())
                .startsWith(
                        "ucp plan: --dp is of a job; expected it with --to deepspeed, megatron or"
                            + " megatron-dist only: other formats hold every parameter whole, for"
                            + " any job\n");
    }

    @Test
    void ranksThatNoRuleSharesOverAreRefusedWithTheLinesToAdd() {
        assertThat(
                        Run.ucp("plan", PLAIN, "--to", "deepspeed", "--tp", 2)
                                .endsWith(ExitCode.REFUSED)
                                .err())
                .startsWith("ucp plan: tp 2: nothing says how ranks share ")
                .contains(
                        "    param \"model.layers.{l}.self_attn.q_proj.weight\" { .. over tp }\n");
    }
}
