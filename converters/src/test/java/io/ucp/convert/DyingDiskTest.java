package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.ucp.execute.Progress;
import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;
import io.ucp.io.overlay.Overlay;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/// A disk that cannot read one of a checkpoint's files: the error names it, pointers and
/// configurations included.
class DyingDiskTest {
    private static final String SAID = "Input/output error";

    @TempDir Path folder;

    /// A file whose every read fails, as the system calls' errors reach Java: without its name.
    private record Dying(Path path, long size) implements ByteSource {
        @Override
        public ByteReader open() {
            return new ByteReader() {
                @Override
                public void read(long offset, ByteBuffer into) throws IOException {
                    throw new IOException(SAID);
                }

                @Override
                public void close() {}
            };
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "../samples/gpt2-zero2-tied-frozen/checkpoint",
                "../samples/llama-tp2-pp2-dp2/checkpoint",
                "../samples/hf-llama-sharded/checkpoint",
                "../samples/hf-llama-bin/checkpoint",
                "../formats/src/test/resources/io/ucp/formats/dcp/weights"
            })
    void anErrorNamesItsFile(String checkpoint) throws IOException {
        everyFileOf(Path.of(checkpoint));
    }

    @ParameterizedTest
    @ValueSource(strings = {"universal", "deepspeed-universal"})
    void anErrorNamesItsFileInUniversalForms(String to) throws IOException {
        Path source = Path.of("../samples/gpt2-zero2-tied-frozen/checkpoint");
        Path out = folder.resolve(to);
        Conversion.run(
                Conversion.prepare(
                        new Request(
                                source,
                                Optional.empty(),
                                to,
                                Optional.empty(),
                                Map.of(),
                                Map.of())),
                out,
                RunOptions.standard(),
                Progress.NONE);
        everyFileOf(out);
    }

    private static void everyFileOf(Path checkpoint) throws IOException {
        List<Path> files;
        try (Stream<Path> all = Files.walk(checkpoint)) {
            files =
                    all.filter(Files::isRegularFile)
                            .filter(f -> !f.endsWith("generation_config.json")) // not read
                            .sorted()
                            .toList();
        }
        for (Path file : files) {
            Path seen = Overlay.of(checkpoint, Map.of(file, new Dying(file, Files.size(file))));
            Throwable error = catchThrowable(() -> readAll(seen));
            assertThat(error).as(file.toString()).isInstanceOf(FileSystemException.class);
            FileSystemException named = (FileSystemException) error;
            assertThat(named.getFile()).endsWith(String.valueOf(file.getFileName()));
            assertThat(named.getReason()).isEqualTo(SAID);
        }
    }

    private static void readAll(Path checkpoint) throws IOException {
        Verification.check(
                Described.of(checkpoint, Optional.empty(), Optional.empty(), Map.of()),
                RunOptions.standard(),
                Progress.NONE);
    }
}
