package io.ucp.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;

/// `ucp rehearse`: runs many commands in one process. The build does so to record what the start-up
/// cache should hold.
@Command(
        name = "rehearse",
        hidden = true,
        description = "Run every line of a file as a command; their output is thrown away.")
final class Rehearse implements Callable<Integer> {
    @Spec private CommandSpec spec;

    @Parameters(paramLabel = "FILE", description = "Commands, one a line; `#` starts a comment.")
    private Path file;

    @Override
    public Integer call() throws IOException {
        PrintWriter nowhere = new PrintWriter(Writer.nullWriter());
        for (String line : Files.readAllLines(file)) {
            if (line.isBlank() || line.startsWith("#")) {
                continue;
            }
            int exit = Main.run(line.strip().split("\\s+", -1), nowhere, nowhere);
            if (exit != ExitCode.DONE.code()) {
                spec.commandLine().getErr().println("`ucp " + line + "` ended with " + exit);
                return exit;
            }
        }
        return ExitCode.DONE.code();
    }
}
