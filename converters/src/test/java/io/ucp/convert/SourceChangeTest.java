package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.bind.TargetRequest;
import io.ucp.execute.Progress;
import io.ucp.formats.RefusedException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/// Sources that are written anew when they are indexed and not copied yet: the plan says where
/// bytes were in other files.
class SourceChangeTest {
    private static final Path SAMPLES = Path.of("..", "samples");
    private static final Path DCP = Path.of("../formats/src/test/resources/io/ucp/formats/dcp");
    private static final RunOptions QUICK =
            RunOptions.standard()
                    .withThreads(1)
                    .withOutput(new OutputFolder.Rules(Leftover.REFUSE, false, false));

    @TempDir Path folder;

    private Path sample(String name) {
        return SAMPLES.resolve(name).resolve("checkpoint");
    }

    private static Request request(Path source, String to, Map<String, String> options) {
        return new Request(source, Optional.empty(), to, Optional.empty(), Map.of(), options);
    }

    private Path made(String sample, String to, Map<String, String> options) throws IOException {
        Request request = request(sample(sample), to, options);
        if (to.startsWith("megatron")) {
            request = request.withTarget(Jobs.megatron(2));
        }
        Path made = folder.resolve("source");
        Conversion.run(Conversion.prepare(request), made, QUICK, Progress.NONE);
        return made;
    }

    private Path source(String form) throws IOException {
        return switch (form) {
            case "deepspeed" ->
                    Trees.copy(sample("gpt2-zero2-tied-frozen"), folder.resolve("source"));
            case "zero-3" -> Trees.copy(sample("llama-zero3-dp4"), folder.resolve("source"));
            case "safetensors" -> Trees.copy(sample("hf-llama-sharded"), folder.resolve("source"));
            case "bin" -> Trees.copy(sample("hf-llama-bin"), folder.resolve("source"));
            case "dcp" -> Trees.copy(DCP.resolve("fsdp2"), folder.resolve("source"));
            case "universal" -> made("gpt2-zero2-tied-frozen", form, Map.of());
            case "zstd" -> made("gpt2-zero2-tied-frozen", "universal", Map.of("compress", form));
            case "deepspeed-universal" -> made("gpt2-zero2-tied-frozen", form, Map.of());
            default -> made("hf-llama-sharded", form, Map.of());
        };
    }

    private static Request onwards(Path source, String form) {
        boolean universal = form.equals("universal") || form.equals("zstd");
        return request(source, universal ? "deepspeed-universal" : "universal", Map.of());
    }

    /// Another file of the same name, size, time and content.
    private void writeAnew(Path file) throws IOException {
        Path other = folder.resolve("other");
        Files.copy(file, other, StandardCopyOption.COPY_ATTRIBUTES);
        Files.move(other, file, StandardCopyOption.REPLACE_EXISTING);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "deepspeed",
                "zero-3",
                "safetensors",
                "bin",
                "dcp",
                "universal",
                "zstd",
                "deepspeed-universal",
                "megatron",
                "megatron-dist"
            })
    void aFileThatIsWrittenAnewBetweenPlanAndRunIsNoticed(String form) throws IOException {
        Path source = source(form);
        Collection<Path> files =
                Fingerprint.of(Conversion.prepare(onwards(source, form))).sources().values();
        assertThat(files).isNotEmpty();
        Path out = folder.resolve("out");
        for (Path file : files) {
            Prepared prepared = Conversion.prepare(onwards(source, form));
            writeAnew(file);
            assertThatThrownBy(() -> Conversion.run(prepared, out, QUICK, Progress.NONE))
                    .isInstanceOf(RefusedException.class)
                    .hasMessageContaining("the source changed: it is another file of that name")
                    .hasMessageContaining(String.valueOf(file.getFileName()));
            assertThat(out).doesNotExist();
        }
        Conversion.run(Conversion.prepare(onwards(source, form)), out, QUICK, Progress.NONE);
        assertThat(out).exists();
    }

    @Test
    void filesThatAreOnlyLinkedFromTheSourceAreNotReplaced() throws IOException {
        Path held = source("safetensors");
        Path links = Files.createDirectory(folder.resolve("links"));
        try (Stream<Path> files = Files.list(held)) {
            for (Path file : files.toList()) {
                Files.createSymbolicLink(links.resolve(file.getFileName()), file.toAbsolutePath());
            }
        }
        RunOptions overwriting =
                QUICK.withOutput(new OutputFolder.Rules(Leftover.REFUSE, true, false));
        Prepared prepared = Conversion.prepare(request(links, "universal", Map.of()));
        assertThatThrownBy(() -> Conversion.run(prepared, held, overwriting, Progress.NONE))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("lies there");
        assertThat(held.resolve("config.json")).exists();
    }

    @Test
    void whatIsCopiedAsItIsHasToBeAsItWasPlanned() throws IOException {
        Path source = source("deepspeed");
        Request same = request(source, "deepspeed", Map.of()).withTarget(TargetRequest.SAME);
        Prepared prepared = Conversion.prepare(same);
        assertThat(prepared.copied()).isPresent();
        Path file = List.copyOf(Fingerprint.of(prepared).sources().values()).getLast();
        writeAnew(file);
        Path out = folder.resolve("out");
        assertThatThrownBy(() -> Conversion.run(prepared, out, QUICK, Progress.NONE))
                .isInstanceOf(RefusedException.class)
                .hasMessageContaining("the source changed");
        assertThat(out).doesNotExist();
    }
}
