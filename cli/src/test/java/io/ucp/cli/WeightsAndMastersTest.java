package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.CheckpointFormat;
import io.ucp.formats.HeldTensor;
import io.ucp.tensor.DType;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;

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
        HeldTensor weight = weight(source);
        try (RandomAccessFile file =
                new RandomAccessFile(weight.tensor().source().path().toFile(), "rw")) {
            file.seek(weight.tensor().offset());
            int before = file.read();
            file.seek(weight.tensor().offset());
            file.write(before ^ 1);
        }
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
}
