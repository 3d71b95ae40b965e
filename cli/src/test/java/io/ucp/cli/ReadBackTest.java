package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/// `--verify read-back` of a target for ranks: by the layout of the job, whatever the spec of the
/// source says of the source alone.
final class ReadBackTest {
    @TempDir private Path folder;

    private String spec = "";

    @BeforeEach
    void read() throws IOException {
        spec = Files.readString(Run.sample("llama-tp2-pp2-dp2").resolveSibling("spec.ucl"));
    }

    private Path spec(String from, String to) throws IOException {
        assertThat(spec).contains(from);
        return Files.writeString(folder.resolve("s.ucl"), spec.replace(from, to));
    }

    private static void convert(Path source, Path out, Object... more) {
        Object[] args = {
            "convert", source, "-o", out, "--to", "deepspeed", "--verify", "read-back"
        };
        Object[] all = new Object[args.length + more.length];
        System.arraycopy(args, 0, all, 0, args.length);
        System.arraycopy(more, 0, all, args.length, more.length);
        Run run = Run.ucp(all).isDone();
        assertThat(run.out()).contains("read back 81 states, as in the source");
    }

    /// One rank of the source holds the state; every rank of the target gets it with its parameter.
    @Test
    void aStateThatOneRankHeldIsOfManyInTheTarget() throws IOException {
        Path sample = Run.sample("llama-tp2-pp2-dp2");
        Path one = folder.resolve("one");
        convert(sample, one, "--tp", 1, "--pp", 1);
        Path unique =
                spec(
                        "fp32, exp_avg, exp_avg_sq: flatten over dp;",
                        "fp32, exp_avg: flatten over dp; exp_avg_sq: unique flatten over dp;");

        convert(one, folder.resolve("out"), "--spec", unique, "--tp", 2, "--pp", 2, "--dp", 2);

        Run.ucp("verify", folder.resolve("out"), sample).isDone();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    stage l over pp               | stage l over pp stages [2, 2]
                    mesh (pp, dp, tp)             | mesh (pp 2, dp 2, tp 2)
                    [hidden, ffn] { shard dim 1 over tp; | [hidden, ffn] { shard dim 1 over tp widths [64, 64];
                    """)
    void whatTheSpecSaysOfTheSourcesRanksIsNotOfTheTargets(String from, String to)
            throws IOException {
        Path own = spec(from, to);
        Path sample = Run.sample("llama-tp2-pp2-dp2");

        convert(sample, folder.resolve("out"), "--spec", own, "--pp", 1, "--tp", 4);

        Run.ucp("verify", folder.resolve("out"), sample).isDone();
    }
}
