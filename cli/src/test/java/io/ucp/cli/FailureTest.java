package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.convert.OutputExistsException;
import io.ucp.convert.UnknownFormatException;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.io.MalformedFileException;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.Span;
import io.ucp.lang.diagnostic.SpecException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CancellationException;

final class FailureTest {
    static List<Arguments> failures() {
        return List.of(
                Arguments.of(
                        new SpecException(Diagnostic.error(Span.NONE, "no")),
                        ExitCode.USAGE,
                        "spec"),
                Arguments.of(
                        new OutputExistsException(Path.of("out")), ExitCode.USAGE, "output_exists"),
                Arguments.of(
                        new UnknownFormatException("--to", "x", List.of("y")),
                        ExitCode.USAGE,
                        "usage"),
                Arguments.of(
                        new MalformedFileException(Path.of("f"), 3, "a", "b", ""),
                        ExitCode.MALFORMED_INPUT,
                        "malformed"),
                Arguments.of(
                        new IncompleteCheckpointException("f", "a", "b", ""),
                        ExitCode.MALFORMED_INPUT,
                        "incomplete"),
                Arguments.of(new StackOverflowError(), ExitCode.MALFORMED_INPUT, "malformed"),
                Arguments.of(new RefusedException("f", "a", "b", ""), ExitCode.REFUSED, "refused"),
                Arguments.of(new NoSuchFileException("f"), ExitCode.IO, "io"),
                Arguments.of(new IOException("no"), ExitCode.IO, "io"),
                Arguments.of(
                        new UncheckedIOException(new AccessDeniedException("f")),
                        ExitCode.IO,
                        "io"),
                Arguments.of(new OutOfMemoryError("Java heap space"), ExitCode.IO, "memory"),
                Arguments.of(new CancellationException(), ExitCode.INTERRUPTED, "interrupted"),
                Arguments.of(new IllegalStateException("no"), ExitCode.INTERNAL, "internal"));
    }

    @ParameterizedTest
    @MethodSource("failures")
    void everyKindOfExceptionHasItsExitCodeAndWord(Throwable thrown, ExitCode code, String kind) {
        assertThat(Failure.of(thrown).code()).isEqualTo(code);
        assertThat(Failure.of(thrown).kind()).isEqualTo(kind);
    }

    @Test
    void remedyIsApartFromTheMessage() {
        Failure failure = Failure.of(new RefusedException("here", "a", "b", "do this"));
        assertThat(failure.message()).isEqualTo("here: a; expected b");
        assertThat(failure.hint()).contains("do this");
    }

    @ParameterizedTest
    @CsvSource({
        "Input/output error, its disk fails",
        "Stale file handle, its mount was lost",
        "Transport endpoint is not connected, its mount was lost",
    })
    void aDiskOrMountThatFailsHasARemedy(String reason, String remedy) {
        Failure failure = Failure.of(new FileSystemException("/a", null, reason));
        assertThat(failure.message()).isEqualTo("/a: " + reason);
        assertThat(failure.hint().orElseThrow()).startsWith(remedy);
    }

    @Test
    void fileExceptionsOfTheJdkSayWhatHappenedAndWhatToDo() {
        assertThat(Failure.of(new AccessDeniedException("/a")))
                .satisfies(f -> assertThat(f.message()).isEqualTo("/a: permission denied"))
                .satisfies(f -> assertThat(f.hint()).isPresent());
        assertThat(Failure.of(new FileAlreadyExistsException("/a")).message())
                .isEqualTo("/a: is in the way");
        assertThat(Failure.of(new FileSystemException("/a", null, "No space left on device")))
                .satisfies(f -> assertThat(f.message()).isEqualTo("/a: No space left on device"))
                .satisfies(f -> assertThat(f.hint().orElseThrow()).contains("ucp plan"));
    }

    @Test
    void fullDiskWithoutAFileHasARemedyToo() {
        assertThat(Failure.of(new IOException("No space left on device")).hint().orElseThrow())
                .startsWith("free some space");
    }

    @Test
    void exceptionWithoutAMessageIsNamed() {
        assertThat(Failure.of(new IOException()).message()).isEqualTo("IOException");
    }
}
