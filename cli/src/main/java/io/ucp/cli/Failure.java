package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.convert.FreshFilesException;
import io.ucp.convert.LeftoverException;
import io.ucp.convert.NotEnoughMemoryException;
import io.ucp.convert.OutputExistsException;
import io.ucp.convert.UnknownFormatException;
import io.ucp.convert.WorkKeptException;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.RefusedException;
import io.ucp.io.MalformedFileException;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.SourceText;
import io.ucp.lang.diagnostic.SpecException;
import io.ucp.layout.ImpossibleLayoutException;
import io.ucp.plan.ImpossiblePlanException;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CancellationException;

/// What went wrong, as its user is told it: the one place where exceptions meet exit codes.
///
/// @param kind a word for programs, as `docs/json.md` lists them
/// @param message place, finding and expectation
/// @param hint the remedy
/// @param diagnostics of a spec; the message has them all
record Failure(
        ExitCode code,
        String kind,
        String message,
        Optional<String> hint,
        List<Diagnostic> diagnostics) {
    private static final String HINT = "\nhint: ";

    static Failure usage(String message, String hint) {
        return of(ExitCode.USAGE, "usage", message, hint);
    }

    static Failure of(Throwable thrown) {
        Failure failure = alone(thrown);
        for (Throwable along : thrown.getSuppressed()) {
            if (along instanceof WorkKeptException kept) {
                return failure.with(
                        "%s are kept: the same command with --resume goes on, and `rm -r %s` gives them up"
                                .formatted(
                                        Quantity.bytes(kept.size()),
                                        ConversionReport.quoted(kept.work())));
            }
            if (along instanceof FreshFilesException) {
                return failure.with(
                        "it was written just now: --wait 600 waits for a job that still writes it");
            }
        }
        return failure;
    }

    private Failure with(String more) {
        return new Failure(
                code,
                kind,
                message,
                Optional.of(hint.map(own -> own + "; " + more).orElse(more)),
                diagnostics);
    }

    private static Failure alone(Throwable thrown) {
        return switch (thrown) {
            case SpecException e ->
                    new Failure(
                            ExitCode.USAGE, "spec", message(e), Optional.empty(), e.diagnostics());
            case UnknownFormatException e -> of(ExitCode.USAGE, "usage", message(e));
            case OutputExistsException e -> of(ExitCode.USAGE, "output_exists", message(e));
            case NotEnoughMemoryException e -> of(ExitCode.IO, "memory", message(e));
            case LeftoverException e -> of(ExitCode.USAGE, "cut_off", message(e));
            case ImpossibleLayoutException e -> of(ExitCode.USAGE, "layout", message(e));
            case InvalidPathException e ->
                    usage(message(e), "name a path that this system can have");
            case MalformedFileException e -> of(ExitCode.MALFORMED_INPUT, "malformed", message(e));
            case IncompleteCheckpointException e ->
                    of(ExitCode.MALFORMED_INPUT, "incomplete", message(e));
            case ImpossiblePlanException e ->
                    of(ExitCode.MALFORMED_INPUT, "incomplete", message(e));
            case RefusedException e -> of(ExitCode.REFUSED, "refused", message(e));
            case CancellationException _ ->
                    of(ExitCode.INTERRUPTED, "interrupted", "stopped before the end");
            case UncheckedIOException e -> of(Objects.requireNonNull(e.getCause()));
            case IOException e -> io(e);
            case OutOfMemoryError e ->
                    of(
                            ExitCode.IO,
                            "memory",
                            "not enough memory: " + message(e),
                            "give it more, UCP_JAVA_OPTS=-Xmx8g, or fewer --threads");
            case StackOverflowError _ ->
                    of(
                            ExitCode.MALFORMED_INPUT,
                            "malformed",
                            "the input is nested too deeply",
                            "give it a deeper stack, UCP_JAVA_OPTS=-Xss64m, if the input can be"
                                    + " trusted");
            case Throwable _ ->
                    of(
                            ExitCode.INTERNAL,
                            "internal",
                            "a fault of ucp itself; please report it with what follows.");
        };
    }

    private static Failure of(ExitCode code, String kind, String message, String hint) {
        return new Failure(code, kind, message, Optional.of(hint), List.of());
    }

    /// A message whose remedy, where it has one, is its last line.
    private static Failure of(ExitCode code, String kind, String message) {
        int at = message.lastIndexOf(HINT);
        return at < 0
                ? new Failure(code, kind, message, Optional.empty(), List.of())
                : of(code, kind, message.substring(0, at), message.substring(at + HINT.length()));
    }

    /// The JDK's file exceptions carry only the path as their message.
    private static Failure io(IOException failure) {
        return switch (failure) {
            case NoSuchFileException e ->
                    io(e, "no such file or folder", "check the path; a mount may be missing");
            case AccessDeniedException e ->
                    io(e, "permission denied", "run as a user who may, or change the permissions");
            case FileAlreadyExistsException e ->
                    io(e, "is in the way", "it exists already: remove it, or name another place");
            case NotDirectoryException e -> io(e, "is no folder", "name a folder");
            case DirectoryNotEmptyException e ->
                    io(
                            e,
                            "the folder is not empty",
                            "something else writes there: stop that first");
            case FileSystemException e ->
                    io(e, Objects.requireNonNullElse(e.getReason(), "failed"), remedy(e));
            default -> plain(failure);
        };
    }

    private static Failure io(FileSystemException failure, String finding, String remedy) {
        String message = failure.getFile() + ": " + finding;
        return remedy.isEmpty()
                ? of(ExitCode.IO, "io", message)
                : of(ExitCode.IO, "io", message, remedy);
    }

    private static Failure plain(IOException failure) {
        String remedy = remedy(failure);
        return remedy.isEmpty()
                ? of(ExitCode.IO, "io", message(failure))
                : of(ExitCode.IO, "io", message(failure), remedy);
    }

    /// What the system says in words only.
    private static String remedy(IOException failure) {
        String message = message(failure);
        if (message.contains(HINT)) {
            return "";
        }
        if (message.contains("No space left") || message.contains("quota exceeded")) {
            return "free some space or name another -o; `ucp plan` says how much is needed";
        }
        if (message.contains("Read-only file system")) {
            return "name an -o on a file system that can be written";
        }
        if (message.contains("Too many open files")) {
            return "raise the limit (ulimit -n) or use fewer --threads";
        }
        if (message.contains("File name too long")) {
            return "name a shorter -o";
        }
        if (message.contains("Input/output error")) {
            return "its disk fails: see the system's log (dmesg); read another copy, or what is"
                    + " lost through --parity";
        }
        return MOUNTS.stream().anyMatch(message::contains)
                ? "its mount was lost: mount it again, then do it again"
                : "";
    }

    /// What Linux says of a file whose file system has gone.
    private static final List<String> MOUNTS =
            List.of(
                    "Stale file handle",
                    "Transport endpoint is not connected",
                    "Host is down",
                    "Connection timed out",
                    "No such device");

    private static String message(Throwable failure) {
        return Objects.requireNonNullElse(failure.getMessage(), failure.getClass().getSimpleName());
    }

    /// `"error": {..}`.
    void write(JsonGenerator json) throws IOException {
        Json.object(
                json,
                "error",
                error -> {
                    error.writeNumberField("code", code.code());
                    error.writeStringField("kind", kind);
                    error.writeStringField("message", message);
                    error.writeStringField("hint", hint.orElse(""));
                    if (!diagnostics.isEmpty()) {
                        diagnostics(error, diagnostics);
                    }
                });
    }

    /// `"diagnostics": [..]`, each with its place where it has one.
    static void diagnostics(JsonGenerator json, List<Diagnostic> diagnostics) throws IOException {
        Json.objects(
                json,
                "diagnostics",
                diagnostics,
                (fields, diagnostic) -> {
                    fields.writeStringField("severity", diagnostic.severity().word());
                    fields.writeStringField("message", diagnostic.message());
                    fields.writeStringField("hint", diagnostic.hint().orElse(""));
                    if (diagnostic.span().isKnown()) {
                        SourceText source = diagnostic.span().source();
                        SourceText.Position at = source.position(diagnostic.span().start());
                        fields.writeStringField("file", source.name());
                        fields.writeNumberField("line", at.line());
                        fields.writeNumberField("column", at.column());
                    }
                });
    }
}
