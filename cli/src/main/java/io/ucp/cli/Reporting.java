package io.ucp.cli;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.concurrent.Callable;

/// A command that reports what it found or did, as text for people or as JSON for programs.
abstract class Reporting implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Option(
            names = Reporting.JSON,
            description = "Print one JSON object in place of text; docs/json.md has its fields.")
    private boolean json;

    static final String JSON = "--json";

    @Override
    public final Integer call() throws IOException {
        return run().code();
    }

    /// Throws rather than prints what went wrong.
    abstract ExitCode run() throws IOException;

    /// Where a file cannot be written is told before a checkpoint is read for hours.
    static void requireFolder(Path file) throws IOException {
        Path folder = file.toAbsolutePath().getParent();
        if (folder != null && !Files.isDirectory(folder)) {
            throw new NoSuchFileException(folder.toString(), null, "no folder for " + file);
        }
    }

    final boolean json() {
        return json;
    }

    final CommandSpec spec() {
        return spec;
    }

    final PrintWriter out() {
        return spec.commandLine().getOut();
    }

    final PrintWriter err() {
        return spec.commandLine().getErr();
    }
}
