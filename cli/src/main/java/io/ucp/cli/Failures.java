package io.ucp.cli;

import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Arrays;

/// Turns what a command throws into a message on standard error, with `--json` an object on
/// standard output too, and an exit code: the one place where that is done.
final class Failures implements IParameterExceptionHandler, IExecutionExceptionHandler {
    private final boolean json;

    /// @param args which ask for JSON or not, even where they cannot be parsed
    Failures(String... args) {
        this.json = Arrays.asList(args).contains(Reporting.JSON);
    }

    @Override
    public int handleParseException(ParameterException failure, String[] args) {
        CommandLine command = failure.getCommandLine();
        String name = command.getCommandSpec().qualifiedName();
        StringWriter suggestions = new StringWriter();
        UnmatchedArgumentException.printSuggestions(failure, new PrintWriter(suggestions, true));
        PrintWriter err = command.getErr();
        err.println(name + ": " + Printable.of(failure.getMessage()));
        err.print(suggestions);
        String hint = "Try `" + name + " --help`.";
        err.println(hint);
        object(command, Failure.usage(String.valueOf(failure.getMessage()), hint), json);
        return ExitCode.USAGE.code();
    }

    @Override
    public int handleExecutionException(
            Exception failure, CommandLine command, ParseResult parsed) {
        return failure instanceof ParameterException wrong
                ? handleParseException(wrong, new String[0])
                : handle(failure, command);
    }

    /// As [#handleExecutionException], also for the errors that a user can do something about.
    int handle(Throwable thrown, CommandLine command) {
        return print(thrown, command, json);
    }

    /// Says what happened; the exit code for it.
    static int print(Throwable thrown, CommandLine command, boolean json) {
        Failure failure = Failure.of(thrown);
        PrintWriter err = command.getErr();
        String name = command.getCommandSpec().qualifiedName();
        // A diagnostic with a place begins with it, so that editors find it.
        boolean placed = failure.diagnostics().stream().anyMatch(each -> each.span().isKnown());
        err.println((placed ? "" : name + ": ") + Printable.lines(failure.message()));
        failure.hint().ifPresent(hint -> err.println("hint: " + Printable.lines(hint)));
        if (failure.code() == ExitCode.INTERNAL) {
            thrown.printStackTrace(err);
        }
        object(command, failure, json);
        return failure.code().code();
    }

    private static void object(CommandLine command, Failure failure, boolean json) {
        if (json) {
            Json.print(command.getOut(), failure::write);
        }
    }
}
