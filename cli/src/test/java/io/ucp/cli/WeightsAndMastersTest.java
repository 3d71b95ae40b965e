package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.HeldTensor;
import io.ucp.tensor.DType;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;

/// A checkpoint whose weights are not its masters, rounded.
final class WeightsAndMastersTest {
    private static final String NAME = "2.self_attention.dense.weight";

    @TempDir private Path folder;
    private Path source;
    private Path out;

    @BeforeEach
    void changeAWeight() throws IOException {
        source = folder.resolve("checkpoint");
        out = folder.resolve("out");
        CheckpointCommandsTest.copy(Run.sample("llama-tp2-pp2-dp2"), source);
        changeAWeight(source);
    }

    /// A bit of a weight flipped, in a file that is not damaged.
    static void changeAWeight(Path checkpoint) throws IOException {
        HeldTensor weight = weight(checkpoint);
        Path file = weight.tensor().source().path();
        byte[] bytes = Files.readAllBytes(file);
        bytes[(int) weight.tensor().offset()] ^= 1;
        Files.write(file, bytes);
        seal(file);
    }

    /// Such a file is not damaged: its checksums are those of what it holds.
    static void seal(Path file) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        try (ZipFile zip = new ZipFile(file.toFile())) {
            for (ZipEntry entry : Collections.list(zip.entries())) {
                CRC32 crc = new CRC32();
                crc.update(zip.getInputStream(entry).readAllBytes());
                for (int at = 0;
                        crc.getValue() != entry.getCrc() && at + 4 <= bytes.limit();
                        at++) {
                    if (bytes.getInt(at) == (int) entry.getCrc()) {
                        bytes.putInt(at, (int) crc.getValue());
                    }
                }
            }
        }
        Files.write(file, bytes.array());
    }

    private static HeldTensor weight(Path checkpoint) throws IOException {
        CheckpointFormat format =
                CheckpointFormat.all().stream()
                        .filter(f -> f.name().equals("deepspeed"))
                        .findFirst()
                        .orElseThrow();
        return format.index(format.find(checkpoint).getFirst()).tensors().stream()
                .filter(t -> t.name().equals(NAME) && t.state().equals("weight"))
                .filter(t -> t.tensor().dtype() == DType.BFLOAT16 && t.at().on("tp") == 0)
                .findFirst()
                .orElseThrow();
    }

    private Run convert(String... more) {
        Object[] all = new Object[6 + more.length];
        Object[] first = {"convert", source, "-o", out, "--to", "deepspeed"};
        System.arraycopy(first, 0, all, 0, first.length);
        System.arraycopy(more, 0, all, first.length, more.length);
        return Run.ucp(all);
    }

    @Test
    void areRefusedWithTheParameterAndTheWaysOut() {
        String error = convert("--dp", "1").endsWith(ExitCode.MALFORMED_INPUT).err();

        assertThat(error)
                .contains(NAME + ": weight: 1 element differs")
                .contains("the fp32 master, rounded,")
                .contains("--from-master")
                .contains("--weights-only");
        assertThat(out).doesNotExist();
    }

    @Test
    void goOnFromTheMasterWhereThatIsSaid() throws IOException {
        convert("--dp", "1", "--from-master", "-q").isDone();

        assertThat(Files.exists(out.resolve("latest"))).isTrue();
        Run.ucp("verify", Run.sample("llama-tp2-pp2-dp2"), out).isDone();
    }

    @Test
    void aloneAreTheSourcesOwn() throws IOException {
        convert("--dp", "1", "--tp", "1", "--weights-only", "-q").isDone();

        Path again = folder.resolve("again");
        Run.ucp("convert", out, "-o", again, "--to", "safetensors", "-q").isDone();
        Path direct = folder.resolve("direct");
        Run.ucp("convert", source, "-o", direct, "--to", "safetensors", "--weights-only", "-q")
                .isDone();
        assertThat(Run.ucp("verify", direct, again).isDone().out()).contains("equal: ");
        try (var files = Files.walk(out)) {
            assertThat(files.map(f -> f.getFileName().toString()))
                    .contains("latest", "mp_rank_00_model_states.pt")
                    .noneMatch(f -> f.contains("optim_states"));
        }
    }

    @Test
    void aloneHaveNoFormInStageThree() {
        Run run =
                Run.ucp(
                        "convert",
                        Run.sample("llama-zero3-dp4"),
                        "-o",
                        out,
                        "--to",
                        "deepspeed",
                        "--weights-only");

        assertThat(run.endsWith(ExitCode.REFUSED).err()).contains("--zero 2");
    }

    @Test
    void areMadeOfTheMasterWhereThereAreNoOther() {
        Path two = folder.resolve("two");
        Path whole = folder.resolve("whole");
        Path sample = Run.sample("llama-zero3-dp4");
        Run.ucp("convert", sample, "-o", whole, "--to", "safetensors", "-q").isDone();
        Run.ucp(
                        "convert",
                        sample,
                        "-o",
                        two,
                        "--to",
                        "deepspeed",
                        "--zero",
                        "2",
                        "--weights-only",
                        "-q")
                .isDone();
        Run.ucp("convert", two, "-o", out, "--to", "safetensors", "-q").isDone();

        assertThat(Run.ucp("verify", whole, out).isDone().out()).contains("equal: ");
    }

    @Test
    void aloneAreNotForEveryFormat() {
        assertThat(
                        Run.ucp("convert", source, "-o", out, "--to", "dcp", "--weights-only")
                                .endsWith(ExitCode.USAGE)
                                .err())
                .contains("--weights-only is not for --to dcp");
    }
}
