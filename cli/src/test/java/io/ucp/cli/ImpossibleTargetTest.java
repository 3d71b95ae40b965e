package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;

/// Jobs that cannot be, and sources that are not whole, on the way to the ranks of a job: what is
/// said, the exit code, and that nothing is written.
final class ImpossibleTargetTest {
    @TempDir private Path folder;
    private Path source;
    private Path tag;

    @BeforeEach
    void copySample() throws IOException {
        source = folder.resolve("checkpoint");
        tag = source.resolve("global_step3");
        CheckpointCommandsTest.copy(Run.sample("llama-tp2-pp2-dp2"), source);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    --tp 3 | tp 3 over 8 attention heads; expected equally many on every rank: tp 1, 2, 4 or 8
                    --pp 5 | pp 5 over 4 layers; expected a layer or more for every stage: pp 1 to 4
                    --ep 2 | ep 2 of a model without experts; expected ep 1
                    --stages 1,1,2 | --stages 1,1,2, 4 layers on 3 stages; expected 2 stages of a layer or more, 4 layers in all
                    --stages 4,0 | --stages 4,0, 4 layers on 2 stages; expected 2 stages of a layer or more, 4 layers in all
                    --zero 3 | ZeRO stage 3 of a pipeline's modules; expected stage 0 or 1
                    --zero 4 | --zero is 4; expected 0 to 3
                    --tp 0 | --tp is 0; expected 1 to 1048576
                    --gpus 4 --tp 2 | --gpus finds the degrees; expected it without degrees and stages
                    --gpus 7 | hint: `ucp layouts --gpus 7` says why
                    --partition type:nothing | a pipeline cut by type:nothing; expected uniform, parameters, or a type
                    """)
    void aJobThatCannotBeIsWrongUsage(String options, String message) {
        assertThat(convert(options.split(" ")).endsWith(ExitCode.USAGE).err()).contains(message);
        nothingIsLeft();
    }

    @Test
    void aBatchThatTheRanksCannotShareIsRefusedWithTheChoices() {
        assertThat(convert("--dp", "7").err()).contains("--global-batch");
        nothingIsLeft();
    }

    @ParameterizedTest
    @CsvSource({
        "bf16_zero_pp_rank_1_mp_rank_02_optim_states.pt",
        "mp_rank_03_model_states.pt",
        "layer_04-model_01-model_states.pt"
    })
    void aFileOfARankThatIsMissingIsNamed(String file) throws IOException {
        Files.delete(tag.resolve(file));

        assertThat(convert("--dp", "1").endsWith(ExitCode.MALFORMED_INPUT).err())
                .contains(file)
                .contains("expected")
                .contains("hint: ");
        nothingIsLeft();
    }

    @Test
    void allFilesOfARankThatAreMissingAreNoSmallerJob() throws IOException {
        Files.delete(tag.resolve("bf16_zero_pp_rank_1_mp_rank_02_optim_states.pt"));
        Files.delete(tag.resolve("bf16_zero_pp_rank_1_mp_rank_03_optim_states.pt"));
        Files.delete(tag.resolve("bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt"));
        Files.delete(tag.resolve("bf16_zero_pp_rank_1_mp_rank_01_optim_states.pt"));

        assertThat(convert("--dp", "1").endsWith(ExitCode.MALFORMED_INPUT).err())
                .contains("bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt");
        nothingIsLeft();
    }

    @Test
    void anOptimizerThatIsNotKnownIsNoneToWrite() throws IOException {
        for (Path file : optimizers()) {
            replace(
                    file,
                    text("single_partition_of_fp32_groups"),
                    text("single_partition_of_fp99_groups"));
        }

        assertThat(convert("--dp", "1").endsWith(ExitCode.REFUSED).err())
                .contains("optim_states.pt: optimizer states of a kind that is not read: ")
                .contains("expected `single_partition_of_fp32_groups`")
                .contains("hint: ");
        nothingIsLeft();
    }

    @Test
    void ranksOfDifferentStepsAreOfDifferentSaves() throws IOException {
        Path file = tag.resolve("bf16_zero_pp_rank_1_mp_rank_02_optim_states.pt");
        assertThat(HexFormat.of().formatHex(Files.readAllBytes(file))).contains("00004040");
        replace(file, new byte[] {0, 0, 0x40, 0x40}, new byte[] {0, 0, (byte) 0x80, 0x40});

        assertThat(convert("--dp", "1").endsWith(ExitCode.MALFORMED_INPUT).err())
                .contains("bf16_zero_pp_rank_1_mp_rank_02_optim_states.pt")
                .contains("expected the same step on every rank");
        nothingIsLeft();
    }

    @Test
    void modelStatesOfDifferentStepsAreOfDifferentSaves() throws IOException {
        // A pickled key, its memo, and the number 3.
        Path file = tag.resolve("mp_rank_01_model_states.pt");
        byte[] bytes = Files.readAllBytes(file);
        int at = indexOf(bytes, text("global_steps"));
        while (bytes[at] != 'K') {
            at++;
        }
        assertThat(bytes[at + 1]).isEqualTo((byte) 3);
        bytes[at + 1] = 4;
        Files.write(file, bytes);
        WeightsAndMastersTest.seal(file);

        assertThat(convert("--dp", "1").endsWith(ExitCode.MALFORMED_INPUT).err())
                .contains("global_steps")
                .contains("mp_rank_01_model_states.pt");
        nothingIsLeft();
    }

    private Run convert(String... options) {
        return Run.ucp(
                Stream.concat(
                                Stream.of("convert", source, "-o", out(), "--to", "deepspeed"),
                                Stream.of(options))
                        .toArray());
    }

    private Path out() {
        return folder.resolve("out");
    }

    private void nothingIsLeft() {
        assertThat(folder.toFile().list()).containsExactly("checkpoint");
    }

    private List<Path> optimizers() throws IOException {
        try (Stream<Path> files = Files.list(tag)) {
            return new ArrayList<>(
                    files.filter(f -> f.getFileName().toString().contains("optim_states"))
                            .toList());
        }
    }

    private static byte[] text(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    /// The first place, in a file whose checksums fit afterwards.
    private static void replace(Path file, byte[] before, byte[] after) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        System.arraycopy(after, 0, bytes, indexOf(bytes, before), after.length);
        Files.write(file, bytes);
        WeightsAndMastersTest.seal(file);
    }

    private static int indexOf(byte[] bytes, byte[] part) {
        String all = new String(bytes, StandardCharsets.ISO_8859_1);
        int at = all.indexOf(new String(part, StandardCharsets.ISO_8859_1));
        assertThat(at).isNotNegative();
        return at;
    }
}
