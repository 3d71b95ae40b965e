package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.stream.Stream;

/// protect, scrub, repair, and reading through the loss, on a real checkpoint of four ranks.
final class ParityCommandsTest {
    private static final Path SAMPLE = Run.sample("llama-zero3-dp4");

    @TempDir private Path folder;
    private Path checkpoint;
    private Path parity;
    private Path first;
    private Path second;

    @BeforeEach
    void lay() throws IOException {
        checkpoint = folder.resolve("ckpt");
        parity = folder.resolve("parity");
        try (Stream<Path> all = Files.walk(SAMPLE)) {
            for (Path path : all.toList()) {
                Files.copy(path, checkpoint.resolve(SAMPLE.relativize(path).toString()));
            }
        }
        Path tag = checkpoint.resolve("global_step3");
        first = tag.resolve("bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt");
        second = tag.resolve("zero_pp_rank_2_mp_rank_00_model_states.pt");
        assertThat(protect("--data", "4", "--parity", "2", "--group", "dp").isDone().out())
                .isEqualTo(
                        """
                        source    deepspeed checkpoint global_step3
                        protected 8 files, 1.45 MB in 1 set of at most 4
                        survives  the loss of any 2 dp ranks of each set
                        parity    726 kB in %s
                        holders   spare-0, spare-1
                                  spare-* folders belong on nodes that hold nothing else of the checkpoint
                        next      ucp scrub '%s' --parity '%s'
                        """
                                .formatted(parity, checkpoint, parity)
                                .replace("'", checkpoint.toString().contains(" ") ? "'" : ""));
    }

    private Run protect(Object... options) {
        Object[] args = new Object[options.length + 4];
        args[0] = "protect";
        args[1] = checkpoint;
        args[2] = "-o";
        args[3] = parity;
        System.arraycopy(options, 0, args, 4, options.length);
        return Run.ucp(args);
    }

    @Test
    void convertReadsThroughTheLossInOneCommand() throws IOException {
        String before = Run.ucp("digest", checkpoint).isDone().out();
        Files.delete(first);
        Files.delete(second);
        Path out = folder.resolve("out");
        Run run =
                Run.ucp(
                                "convert",
                                checkpoint,
                                "--parity",
                                parity,
                                "-o",
                                out,
                                "--to",
                                "deepspeed",
                                "--dp",
                                "3")
                        .isDone();
        assertThat(run.out())
                .contains(
                        "decoded   %s, %s (lost; read through the parity)\n"
                                .formatted(first.getFileName(), second.getFileName()));
        assertThat(Run.ucp("digest", out).isDone().out()).isEqualTo(before);
        assertThat(Run.ucp("digest", checkpoint, "--parity", parity).isDone().out())
                .isEqualTo(before);
        Run.ucp("verify", checkpoint, out, "--parity", parity).isDone();
        Run.ucp("plan", checkpoint, "--to", "universal", "--parity", parity).isDone();
        JsonNode seen =
                Run.ucp("inspect", checkpoint, "--parity", parity, "--json").isDone().json();
        assertThat(seen.at("/source/decoded").get(0).asText()).isEqualTo(first.toString());
        assertThat(first).doesNotExist();
        Run.ucp("digest", checkpoint).endsWith(ExitCode.MALFORMED_INPUT);
    }

    @Test
    void scrubFindsAndRepairs() throws IOException {
        assertThat(scrub().isDone().out()).isEqualTo("whole: 2.18 MB\n");
        byte[] bytes = Files.readAllBytes(first);
        byte[] flipped = bytes.clone();
        flipped[bytes.length / 2] ^= 1;
        FileTime modified = Files.getLastModifiedTime(first);
        Files.write(first, flipped);
        Files.setLastModifiedTime(first, modified);
        Files.delete(second);
        Run found = scrub().endsWith(ExitCode.DIFFERENCE);
        assertThat(found.err()).isEmpty();
        assertThat(found.out())
                .contains("damaged in 1 of 1 blocks, the first at byte 0")
                .contains("checkpoint  missing")
                .contains("damaged: 2 files in 2.18 MB\n")
                .contains("next      ucp repair ");
        JsonNode json = scrub("--json").endsWith(ExitCode.DIFFERENCE).json();
        assertThat(json.get("whole").asBoolean()).isFalse();
        assertThat(json.get("repairable").asBoolean()).isTrue();
        assertThat(json.at("/damages/0/ranges/0/to").asLong()).isEqualTo(bytes.length);
        assertThat(scrub("--repair").isDone().out())
                .contains("repaired  " + first + "\n")
                .contains("repaired  " + second + "\n");
        assertThat(first).hasBinaryContent(bytes);
        assertThat(scrub().isDone().out()).isEqualTo("whole: 2.18 MB\n");
        assertThat(Run.ucp("repair", checkpoint, "--parity", parity).isDone().out())
                .isEqualTo("whole: nothing to repair\n");
    }

    @Test
    void whatWasWrittenSinceIsTold() throws IOException {
        byte[] bytes = Files.readAllBytes(first);
        Files.writeString(first, "mine");
        Files.setLastModifiedTime(first, FileTime.fromMillis(1_000_000_000_000L));
        assertThat(scrub().endsWith(ExitCode.DIFFERENCE).out())
                .contains("; written since it was protected")
                .contains("next      ucp repair ")
                .endsWith(
                        """
                                  or, where it was written on purpose, protect again:
                                  repair makes it what was protected
                        """);
        JsonNode json = scrub("--json").endsWith(ExitCode.DIFFERENCE).json();
        assertThat(json.at("/damages/0/written").asBoolean()).isTrue();
        assertThat(Run.ucp("repair", checkpoint, "--parity", parity).isDone().out())
                .contains("; written since it was protected")
                .contains("repaired  " + first + "\n");
        assertThat(first).hasBinaryContent(bytes);
    }

    private Run scrub(Object... options) {
        Object[] args = new Object[options.length + 4];
        args[0] = "scrub";
        args[1] = checkpoint;
        args[2] = "--parity";
        args[3] = parity;
        System.arraycopy(options, 0, args, 4, options.length);
        return Run.ucp(args);
    }

    @Test
    void tooMuchLossIsRefusedWithWhatWouldBeEnough() throws IOException {
        Path third = first.resolveSibling("bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt");
        Path fourth = first.resolveSibling("bf16_zero_pp_rank_3_mp_rank_00_optim_states.pt");
        Files.delete(first);
        Files.delete(third);
        Files.delete(fourth);
        for (Run run :
                new Run[] {
                    Run.ucp("repair", checkpoint, "--parity", parity),
                    Run.ucp("digest", checkpoint, "--parity", parity)
                }) {
            run.endsWith(ExitCode.MALFORMED_INPUT);
            assertThat(run.err())
                    .contains("3 files that belong together are lost or damaged")
                    .contains("hint: any 1 of them would be enough");
        }
        assertThat(scrub().endsWith(ExitCode.DIFFERENCE).out())
                .contains("more is lost than the parity makes up for;")
                .contains("any 1 of " + third)
                .contains(fourth + " would be enough: bring one back");
        assertThat(scrub("--json").endsWith(ExitCode.DIFFERENCE).json().get("hint").asText())
                .startsWith("any 1 of " + third);
    }

    @Test
    void wrongUseIsToldBeforeAnythingIsRead() {
        assertThat(protect().endsWith(ExitCode.USAGE).err()).contains("exists");
        parity = folder.resolve("other");
        assertThat(protect("--data", "0").endsWith(ExitCode.USAGE).err())
                .contains("--data 0 --parity 2; expected 1 or more each");
        assertThat(protect("--group", "node").endsWith(ExitCode.USAGE).err())
                .contains("--group is 'node'; expected an axis");
        assertThat(protect("--group", "tp").endsWith(ExitCode.USAGE).err())
                .contains(
                        "--group tp: the job had one rank on that axis; expected one of its axes:"
                                + " dp");
        assertThat(protect("--threads", "0").endsWith(ExitCode.USAGE).err()).contains("--threads");
        assertThat(parity).doesNotExist();
    }

    @Test
    void reportsCanBeHadAsJson() throws IOException {
        parity = folder.resolve("json");
        JsonNode json =
                protect("--json", "--group", "node=2", "--data", "1", "--parity", "1")
                        .isDone()
                        .json();
        assertThat(json.get("group").asText()).isEqualTo("node=2");
        assertThat(json.get("files").asInt()).isEqualTo(8);
        assertThat(json.get("sets").asInt()).isEqualTo(2);
        assertThat(json.get("holders")).hasToString("[\"node-0\",\"node-1\"]");
    }
}
