package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// The README's first command, and what a user would do next: eight ranks, TP 2, PP 2, DP 2,
/// ZeRO-1.
final class MainJobTest {
    private static final Path SOURCE = Run.sample("llama-tp2-pp2-dp2");

    @TempDir private Path folder;

    @Test
    void bothFormsHoldTheSameStateAndGiveEachOther() {
        Path universal = folder.resolve("universal");
        Path upstream = folder.resolve("upstream");
        Path again = folder.resolve("again");
        Run run = Run.ucp("convert", SOURCE, "-o", universal, "--to", "universal").isDone();
        assertThat(run.out())
                .contains("layout    pp 2 x dp 2 x tp 2 (8 ranks), ZeRO stage 1\n")
                .contains("27 parameters")
                .contains("states    exp_avg 27, exp_avg_sq 27, fp32 27, step 27, weight 27\n");
        Run.ucp("convert", SOURCE, "-o", upstream, "--to", "deepspeed-universal").isDone();
        Run.ucp("convert", universal, "-o", again, "--to", "deepspeed-universal").isDone();
        for (Path form : new Path[] {universal, upstream, again}) {
            assertThat(Run.ucp("verify", SOURCE, form).isDone().out()).contains("equal: ");
            Run.ucp("verify", form).isDone();
        }
    }

    @Test
    void compressedFormIsSmallerAndEqualAndTheShuffledOneMoreSo() throws IOException {
        Path plain = universal("plain");
        Path small = universal("small", "--compress", "zstd:1");
        Path smaller = universal("smaller", "--compress", "zstd:1", "--shuffle");
        for (String state : List.of("fp32", "exp_avg", "exp_avg_sq", "weight")) {
            String file = "states/%s-00001.arrow".formatted(state);
            assertThat(Files.size(small.resolve(file))).isLessThan(Files.size(plain.resolve(file)));
            assertThat(Files.size(smaller.resolve(file)))
                    .isLessThan(Files.size(small.resolve(file)));
        }
        Run.ucp("verify", plain, small).isDone();
        Run.ucp("verify", plain, smaller).isDone();
        Path again = folder.resolve("again");
        Run.ucp("convert", smaller, "-o", again, "--to", "universal").isDone();
        Run.ucp("diff", plain, again).isDone();
    }

    private Path universal(String name, String... options) {
        Path out = folder.resolve(name);
        List<Object> words =
                new ArrayList<>(List.of("convert", SOURCE, "-o", out, "--to", "universal", "-q"));
        words.addAll(List.of(options));
        Run.ucp(words.toArray()).isDone();
        return out;
    }

    @Test
    void ranksAreDrawnAsTheyStand() {
        String rank = "| dp %d     493 kB ";
        String rule = "     +-----------------+-----------------+\n";
        String box = rank.formatted(0).repeat(2) + "|\n     " + rank.formatted(1).repeat(2) + "|\n";
        assertThat(Run.ucp("inspect", SOURCE).isDone().out())
                .contains(
                        "       tp 0              tp 1\n"
                                + rule
                                + "pp 0 "
                                + box
                                + rule
                                + "pp 1 "
                                + box
                                + rule)
                .contains("27 parameters, 295,616 elements (328,256 with padding)\n")
                .containsPattern("\\{2-5}\\.mlp\\.dense_4h_to_h\\.weight +x 4 +\\[64, 128]\n");
    }

    @Test
    void fusedParameterIsDrawnPartByPart() {
        String rows = "  %s\n".repeat(3);
        String a = rows.replace("%s", "A".repeat(48));
        String b = rows.replace("%s", "B".repeat(48));
        assertThat(
                        Run.ucp(
                                        "plan",
                                        SOURCE,
                                        "--to",
                                        "universal",
                                        "--explain",
                                        "3.mlp.dense_h_to_4h.weight")
                                .isDone()
                                .out())
                .contains(a + b + a + b)
                .containsPattern("A  \\[128:192, :]  bf16_zero_pp_rank_1_mp_rank_00");
    }

    @Test
    void inferredSpecCanBeKeptAndUsed() throws IOException {
        Path spec = folder.resolve("kept.ucl");
        Files.writeString(spec, Run.ucp("infer", SOURCE).isDone().out());
        Run.ucp("fmt", "--check", spec).isDone();
        Run.ucp("check", spec, "--against", SOURCE).isDone();
        Path out = folder.resolve("out");
        Run.ucp("convert", SOURCE, "-o", out, "--to", "universal", "--spec", spec).isDone();
        Run.ucp("verify", SOURCE, out).isDone();
    }
}
