package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// What users do to `ucp convert`: each ends in one error, its exit code, and nothing is left.
final class BadInputTest {
    private static final String OPTIMIZER = "bf16_zero_pp_rank_2_mp_rank_00_optim_states.pt";

    @TempDir private Path folder;
    private Path source;
    private Path tag;
    private Path outputs;
    private Path out;

    @BeforeEach
    void copySample() throws IOException {
        source = folder.resolve("checkpoint");
        tag = source.resolve("global_step3");
        CheckpointCommandsTest.copy(Run.sample("llama-zero3-dp4"), source);
        outputs = Files.createDirectory(folder.resolve("outputs"));
        out = outputs.resolve("out");
    }

    @Test
    void outputThatExistsIsLeftAlone() throws IOException {
        Path mine = Files.writeString(Files.createDirectory(out).resolve("mine"), "x");
        assertThat(convert().endsWith(ExitCode.USAGE).err())
                .isEqualTo(
                        """
                        ucp convert: %s: it exists already; expected a name that is free
                        hint: choose another -o, --overwrite where it is a checkpoint that is to be replaced, or remove it first
                        """
                                .formatted(out));
        assertThat(mine).hasContent("x");
    }

    @Test
    void outputBelowAFileCannotBe() throws IOException {
        Files.writeString(out, "a file");
        Run run = Run.ucp("convert", source, "-o", out.resolve("x"), "--to", "universal");
        assertThat(run.endsWith(ExitCode.IO).err())
                .startsWith("ucp convert: " + out + ": ")
                .contains("\nhint: ");
        assertThat(out).hasContent("a file");
    }

    @Test
    void parentWithoutPermissionIsNamed() throws IOException, InterruptedException {
        Files.setPosixFilePermissions(outputs, PosixFilePermissions.fromString("r-xr-xr-x"));
        Run run = Files.isWritable(outputs) ? withoutPrivileges() : convert();
        assertThat(run.endsWith(ExitCode.IO).err())
                .endsWith(
                        """
                        ucp convert: %s: permission denied
                        hint: run as a user who may, or change the permissions
                        """
                                .formatted(outputs));
        Files.setPosixFilePermissions(outputs, PosixFilePermissions.fromString("rwxr-xr-x"));
        nothingIsLeft();
    }

    /// As root, in a process that has given up root's right to write everywhere.
    private Run withoutPrivileges() throws IOException, InterruptedException {
        Path setpriv = Path.of("/usr/bin/setpriv");
        assumeTrue(Files.isExecutable(setpriv), "root may write everywhere");
        Path err = folder.resolve("err");
        Process process =
                new ProcessBuilder(
                                setpriv.toString(),
                                "--bounding-set=-dac_override,-dac_read_search",
                                Path.of(System.getProperty("java.home"), "bin/java").toString(),
                                "-cp",
                                System.getProperty("java.class.path"),
                                Main.class.getName(),
                                "convert",
                                source.toString(),
                                "-o",
                                out.toString(),
                                "--to",
                                "universal")
                        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                        .redirectError(err.toFile())
                        .start();
        return new Run(process.waitFor(), "", Files.readString(err));
    }

    @ParameterizedTest
    @ValueSource(strings = {"/proc", "/sys"})
    void folderThatTakesNoFilesIsNamed(Path unwritable) {
        assumeTrue(Files.isDirectory(unwritable), "no " + unwritable);
        Run run = Run.ucp("convert", source, "-o", unwritable.resolve("x"), "--to", "universal");
        assertThat(run.endsWith(ExitCode.IO).err())
                .startsWith("ucp convert: " + unwritable + ": ")
                .contains("\nhint: ");
    }

    @Test
    void unknownTargetListsTheFormats() throws IOException {
        Run run = Run.ucp("convert", source, "-o", out, "--to", "arrow");
        assertThat(run.endsWith(ExitCode.USAGE).err())
                .startsWith("ucp convert: --to arrow: there is no such format; expected one of ")
                .contains("universal", "deepspeed-universal");
        nothingIsLeft();
    }

    @Test
    void targetThatCannotBeWrittenIsRefused() throws IOException {
        Run run = Run.ucp("convert", source, "-o", out, "--to", "deepspeed", "--weights-only");
        assertThat(run.endsWith(ExitCode.REFUSED).err()).contains("ZeRO", "\nhint: ");
        nothingIsLeft();
    }

    @Test
    void missingTargetIsWrongUsage() throws IOException {
        assertThat(Run.ucp("convert", source, "-o", out).endsWith(ExitCode.USAGE).err())
                .startsWith("ucp convert: Missing required option: '--to=FORMAT'");
        nothingIsLeft();
    }

    @Test
    void shufflingWhatIsNotCompressedIsWrongUsage() throws IOException {
        assertThat(convert("--shuffle").endsWith(ExitCode.USAGE).err())
                .startsWith(
                        "ucp convert: --shuffle without --compress; expected --compress zstd beside"
                                + " it\n");
        nothingIsLeft();
    }

    @ParameterizedTest
    @ValueSource(strings = {"gzip", "zstd:0", "zstd:23", "zstd:", ""})
    void unknownCompressionIsWrongUsage(String method) throws IOException {
        assertThat(convert("--compress", method).endsWith(ExitCode.USAGE).err())
                .startsWith(
                        "ucp convert: --compress is '%s'; expected zstd, or zstd:1 to zstd:22\n"
                                .formatted(method));
        nothingIsLeft();
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "-1", "1025"})
    void threadsAreCounted(String threads) throws IOException {
        assertThat(convert("--threads", threads).endsWith(ExitCode.USAGE).err())
                .startsWith("ucp convert: --threads is %s; expected 1 to 1024".formatted(threads));
        nothingIsLeft();
    }

    @Test
    void settingThatNothingReadsIsWrongUsage() throws IOException {
        assertThat(convert("--set", "heads=8").endsWith(ExitCode.USAGE).err())
                .startsWith("ucp convert: error: --set heads: ");
        nothingIsLeft();
    }

    @Test
    void settingThatIsNoNumberIsWrongUsage() throws IOException {
        assertThat(convert("--set", "heads=z").endsWith(ExitCode.USAGE).err())
                .isEqualTo(
                        """
                        ucp convert: Invalid value for option '--set' (NAME=NUMBER): 'z' is not a whole number; \
                        expected one of 64 bits, such as 8
                        Try `ucp convert --help`.
                        """);
        nothingIsLeft();
    }

    @Test
    void settingOfASourceThatIsWholeIsNotLost() throws IOException {
        Path whole = folder.resolve("whole");
        Run.ucp("convert", source, "-o", whole, "--to", "universal").isDone();
        Run run =
                Run.ucp(
                        "convert",
                        whole,
                        "-o",
                        out,
                        "--to",
                        "universal",
                        "--spec",
                        "megatron_deepspeed_llama",
                        "--set",
                        "headz=8");
        assertThat(run.endsWith(ExitCode.USAGE).err())
                .startsWith(
                        "ucp convert: error: --set headz: nothing in the spec reads 'headz';"
                                + " expected one of ")
                .contains("hint: did you mean 'heads'?");
        assertThat(Run.ucp("inspect", whole, "--set", "n=1").endsWith(ExitCode.USAGE).err())
                .contains("--set n: nothing in the spec reads 'n'");
        nothingIsLeft();
    }

    @Test
    void optionsThatChangeNothingAreNotTakenWithoutAWord() throws IOException {
        Path whole = folder.resolve("whole");
        Run.ucp("convert", source, "-o", whole, "--to", "universal").isDone();
        Path spec = Run.sample("llama-zero3-dp4").resolveSibling("spec.ucl");
        Run layout = Run.ucp("convert", whole, "-o", out, "--to", "universal", "--spec", spec);
        assertThat(layout.endsWith(ExitCode.USAGE).err())
                .isEqualTo(
                        """
                        ucp convert: error: --spec %s has no effect: source and target hold every parameter \
                        whole; expected a spec that renames, drops or casts something
                            hint: leave it out; `ucp check %s --against %s` tells whether it fits
                        """
                                .formatted(spec, spec, whole));
        Run number = Run.ucp("convert", whole, "-o", out, "--to", "universal", "--set", "heads=4");
        assertThat(number.endsWith(ExitCode.USAGE).err())
                .isEqualTo(
                        """
                        ucp convert: error: --set heads has no effect: source and target hold every parameter \
                        whole; expected a spec or a family of models that reads it
                            hint: leave it out
                        """);
        nothingIsLeft();
    }

    @Test
    void specOfAnotherModelIsOneError() throws IOException {
        Run run = convert("--spec", "megatron_deepspeed_gpt");
        assertThat(run.endsWith(ExitCode.USAGE).err())
                .startsWith("megatron_deepspeed_gpt.ucl:")
                .containsOnlyOnce(": error: the spec does not fit the checkpoint: ")
                .contains(" patterns match nothing (", " names have no rule (")
                .hasLineCount(4);
        nothingIsLeft();
    }

    @Test
    void flippedBitOfATensorIsFoundOnTheWay() throws IOException {
        Path file = tag.resolve(OPTIMIZER);
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length / 2] ^= 1;
        Files.write(file, bytes);
        assertThat(convert().endsWith(ExitCode.MALFORMED_INPUT).err())
                .contains(
                        "ucp convert: " + file + " at byte ",
                        "has the CRC-32 ",
                        "as the directory says\nhint: the file is damaged; copy it again from where"
                                + " it was written");
        nothingIsLeft();
    }

    @Test
    void unknownSourceFormatIsNamed() throws IOException {
        assertThat(convert("--from", "deepsped").endsWith(ExitCode.USAGE).err())
                .startsWith(
                        "ucp convert: --from deepsped: there is no such format; expected one of ")
                .endsWith("\nhint: did you mean 'deepspeed'?\n");
        assertThat(convert("--from", "xx").endsWith(ExitCode.USAGE).err())
                .endsWith("\nhint: leave --from out to take what the folder holds\n");
        nothingIsLeft();
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "../x"})
    void latestThatNamesNoFolderIsRefused(String text) throws IOException {
        Files.writeString(source.resolve("latest"), text);
        assertThat(convert().endsWith(ExitCode.MALFORMED_INPUT).err())
                .startsWith(
                        "ucp convert: %s: it says '%s'".formatted(source.resolve("latest"), text))
                .contains("\nhint: name the tag folder that you mean: " + tag);
        nothingIsLeft();
    }

    @Test
    void missingSourceIsNamed() throws IOException {
        Run run = Run.ucp("convert", folder.resolve("nope"), "-o", out, "--to", "universal");
        assertThat(run.endsWith(ExitCode.IO).err())
                .isEqualTo(
                        """
                        ucp convert: %s: no such file or folder
                        hint: check the path; a mount may be missing
                        """
                                .formatted(folder.resolve("nope")));
        nothingIsLeft();
    }

    @Test
    void emptyFolderIsNoCheckpoint() throws IOException {
        Path empty = Files.createDirectory(folder.resolve("empty"));
        Run run = Run.ucp("convert", empty, "-o", out, "--to", "universal");
        assertThat(run.endsWith(ExitCode.MALFORMED_INPUT).err())
                .startsWith(
                        "ucp convert: %s: no checkpoint, but an empty folder; ".formatted(empty))
                .contains("\nhint: name the folder that holds `latest`");
        nothingIsLeft();
    }

    @Test
    void folderOfOtherThingsIsNoCheckpoint() throws IOException {
        Path docs = folder.resolve("docs");
        Files.createDirectories(docs.resolve("a"));
        Run run = Run.ucp("inspect", docs);
        assertThat(run.endsWith(ExitCode.MALFORMED_INPUT).err())
                .contains(
                        "docs: no checkpoint, but a; expected a checkpoint of one of the formats");
    }

    @Test
    void missingRankFileIsNamed() throws IOException {
        Files.delete(tag.resolve(OPTIMIZER));
        assertThat(convert().endsWith(ExitCode.MALFORMED_INPUT).err())
                .startsWith("ucp convert: %s: ".formatted(tag.resolve(OPTIMIZER)));
        nothingIsLeft();
    }

    @Test
    void truncatedFileIsNamed() throws IOException {
        byte[] bytes = Files.readAllBytes(tag.resolve(OPTIMIZER));
        Files.write(tag.resolve(OPTIMIZER), Arrays.copyOf(bytes, bytes.length / 2));
        assertThat(convert().endsWith(ExitCode.MALFORMED_INPUT).err())
                .startsWith("ucp convert: %s at byte ".formatted(tag.resolve(OPTIMIZER)))
                .contains("\nhint: the file is damaged or cut short");
        nothingIsLeft();
    }

    @Test
    void flippedByteInAPickleIsNoticed() throws IOException {
        byte[] bytes = Files.readAllBytes(tag.resolve(OPTIMIZER));
        String text = new String(bytes, StandardCharsets.ISO_8859_1);
        bytes[text.indexOf("optimizer_state_dict")] ^= 1;
        Files.write(tag.resolve(OPTIMIZER), bytes);
        assertThat(convert().endsWith(ExitCode.MALFORMED_INPUT).err())
                .startsWith("ucp convert: %s at byte ".formatted(tag.resolve(OPTIMIZER)))
                .contains("CRC-32");
        nothingIsLeft();
    }

    @Test
    void pointerToATagThatIsNotThereIsNamed() throws IOException {
        Files.writeString(source.resolve("latest"), "global_step9");
        assertThat(convert().endsWith(ExitCode.MALFORMED_INPUT).err())
                .contains("global_step9", "latest", "\nhint: ");
        nothingIsLeft();
    }

    @Test
    void sourceOfAnotherFormatThanAskedForIsNamed() throws IOException {
        assertThat(convert("--from", "universal").endsWith(ExitCode.MALFORMED_INPUT).err())
                .contains("a deepspeed checkpoint; expected a universal checkpoint (--from)");
        nothingIsLeft();
    }

    @Test
    void errorIsJsonToo() throws IOException {
        Files.delete(tag.resolve(OPTIMIZER));
        Run run = convert("--json").endsWith(ExitCode.MALFORMED_INPUT);
        assertThat(run.json().at("/error/kind").asText()).isEqualTo("incomplete");
        assertThat(run.json().at("/error/message").asText()).contains(OPTIMIZER);
        assertThat(run.json().at("/error/hint").asText()).isNotEmpty();
        assertThat(run.err()).contains(OPTIMIZER);
    }

    private Run convert(String... options) {
        List<Object> args =
                new ArrayList<>(List.of("convert", source, "-o", out, "--to", "universal"));
        args.addAll(List.of(options));
        return Run.ucp(args.toArray());
    }

    private void nothingIsLeft() throws IOException {
        assertThat(outputs).isEmptyDirectory();
    }
}
