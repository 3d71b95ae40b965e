package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/// A source that has the wanted layout already: its files are copied as they are.
final class UnchangedLayoutTest {
    private static final String SAID = "nothing to do but to copy it";

    @TempDir private Path folder;

    @ParameterizedTest
    @ValueSource(strings = {"llama-tp2-pp2-dp2", "llama-zero3-dp4", "gpt2-zero2-tied-frozen"})
    void isCopiedByteForByte(String sample) throws IOException {
        Path out = folder.resolve("out");
        Run run = Run.ucp("convert", Run.sample(sample), "-o", out, "--to", "deepspeed").isDone();

        assertThat(run.out()).contains(SAID);
        assertThat(contents(out)).isEqualTo(contents(Run.sample(sample)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"auto", "never"})
    void hasFilesOfItsOwnHoweverTheyCameAbout(String how) throws IOException {
        Path out = folder.resolve("out");
        Path source = Run.sample("llama-zero3-dp4");
        JsonNode report =
                Run.ucp(
                                "convert",
                                source,
                                "-o",
                                out,
                                "--to",
                                "deepspeed",
                                "--reflink",
                                how,
                                "--json")
                        .isDone()
                        .json();

        long size = 0;
        for (Path file : contents(out).keySet()) {
            assertThat(Files.isSameFile(out.resolve(file), source.resolve(file))).isFalse();
            size += Files.size(out.resolve(file));
        }
        long cloned = report.path("bytes_cloned").longValue();
        assertThat(report.path("bytes_written").longValue() + cloned).isEqualTo(size);
        if (how.equals("never")) {
            assertThat(cloned).isZero();
        }
    }

    @Test
    void isReadBackWhereThatIsAsked() {
        assertThat(convert(Run.sample("llama-tp2-pp2-dp2"), "--verify", "read-back").isDone().out())
                .contains(SAID)
                .contains("read back 81 states, as in the source");
    }

    @Test
    void isWhatTheSameDegreesAskFor() {
        Run run =
                convert(
                        Run.sample("llama-tp2-pp2-dp2"),
                        "--tp",
                        "2",
                        "--pp",
                        "2",
                        "--dp",
                        "2",
                        "--stages",
                        "2,2",
                        "--zero",
                        "1");

        assertThat(run.isDone().out()).contains(SAID);
    }

    @Test
    void isNotOneOfOtherStages() {
        Path uneven = folder.resolve("uneven");
        Path source = Run.sample("llama-tp2-pp2-dp2");
        Run.ucp("convert", source, "-o", uneven, "--to", "deepspeed", "--stages", "1,3", "-q")
                .isDone();

        assertThat(convert(uneven, "--stages", "2,2").isDone().out()).doesNotContain(SAID);
    }

    @ParameterizedTest
    @ValueSource(strings = {"--rng=drop", "--dtype=fp32", "--vocab-padding=zero", "--dp=1"})
    void isNotOneThatSomethingElseIsAskedOf(String option) {
        assertThat(convert(Run.sample("llama-tp2-pp2-dp2"), option).isDone().out())
                .doesNotContain(SAID);
    }

    @Test
    void isStillHeldAgainstItsMasters() throws IOException {
        Path source = folder.resolve("checkpoint");
        CheckpointCommandsTest.copy(Run.sample("llama-tp2-pp2-dp2"), source);
        WeightsAndMastersTest.changeAWeight(source);

        assertThat(convert(source).endsWith(ExitCode.MALFORMED_INPUT).err())
                .contains("2.self_attention.dense.weight: weight: 1 element differs")
                .contains("--from-master");
        assertThat(folder.resolve("out")).doesNotExist();
        assertThat(convert(source, "--from-master").isDone().out()).contains("made anew");
    }

    @Test
    void isNoHardLinkThatSomebodyAskedFor() {
        assertThat(convert(Run.sample("llama-zero3-dp4"), "--reflink", "always").err())
                .contains("expected one of [auto, never]");
    }

    private Run convert(Path source, String... options) {
        return Run.ucp(
                Stream.concat(
                                Stream.of(
                                        "convert",
                                        source,
                                        "-o",
                                        folder.resolve("out"),
                                        "--to",
                                        "deepspeed"),
                                Stream.of(options))
                        .toArray());
    }

    private static Map<Path, String> contents(Path root) throws IOException {
        Map<Path, String> contents = new TreeMap<>();
        try (Stream<Path> files = Files.walk(root)) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                contents.put(
                        root.relativize(file),
                        new String(Files.readAllBytes(file), StandardCharsets.ISO_8859_1));
            }
        }
        return contents;
    }
}
