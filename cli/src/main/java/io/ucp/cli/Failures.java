package io.ucp.cli;

import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.util.Objects;

/// Turns what a command throws into a message on standard error and an exit code: the one place
/// where that is decided.
final class Failures implements IParameterExceptionHandler, IExecutionExceptionHandler {
    @Override
    public int handleParseException(ParameterException failure, String[] args) {
        CommandLine command = failure.getCommandLine();
        PrintWriter err = command.getErr();
        err.println(command.getCommandSpec().qualifiedName() + ": " + failure.getMessage());
        UnmatchedArgumentException.printSuggestions(failure, err);
        err.println("Try `" + command.getCommandSpec().qualifiedName() + " --help`.");
        return ExitCode.USAGE.code();
    }

    @Override
    public int handleExecutionException(
            Exception failure, CommandLine command, ParseResult parsed) {
        PrintWriter err = command.getErr();
        String place = command.getCommandSpec().qualifiedName() + ": ";
        return switch (failure) {
            case IOException e -> {
                err.println(place + message(e));
                yield ExitCode.IO.code();
            }
            case UncheckedIOException e -> {
                err.println(place + message(Objects.requireNonNull(e.getCause())));
                yield ExitCode.IO.code();
            }
            default -> {
                err.println(place + "a fault of ucp itself; please report it with what follows.");
                failure.printStackTrace(err);
                yield ExitCode.INTERNAL.code();
            }
        };
    }

    /// The JDK's file exceptions carry only the path as their message.
    private static String message(IOException failure) {
        return switch (failure) {
            case NoSuchFileException e -> e.getFile() + ": no such file or folder";
            case AccessDeniedException e -> e.getFile() + ": permission denied";
            case FileAlreadyExistsException e -> e.getFile() + ": exists already";
            default -> String.valueOf(failure.getMessage());
        };
    }
}
