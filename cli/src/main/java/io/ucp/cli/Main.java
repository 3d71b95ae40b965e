package io.ucp.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.nio.charset.Charset;
import java.util.Locale;
import java.util.Optional;

/// `ucp` itself: options that every command has, and the way from arguments to an exit code.
@Command(
        name = "ucp",
        description =
                "Turns any distributed training checkpoint into any other layout, bit for bit.",
        synopsisSubcommandLabel = "COMMAND",
        versionProvider = Version.class,
        addMethodSubcommands = false, // spares a search among the methods
        footer = {"", "Run `ucp COMMAND --help` for what a command does and takes."})
public final class Main implements Runnable {
    private static final int HELP_COLUMNS = 80;
    private static final int WIDEST_HELP = 120;

    @Spec private CommandSpec spec;

    @Option(
            names = {"-h", "--help"},
            usageHelp = true,
            scope = ScopeType.INHERIT,
            description = "Show this help and exit.")
    @SuppressWarnings("unused") // picocli acts on it
    private boolean help;

    @Option(
            names = {"-V", "--version"},
            versionHelp = true,
            description = "Show the version and exit.")
    @SuppressWarnings("unused") // picocli acts on it
    private boolean version;

    private Main() {}

    /// Numbers are written in one way, in texts and names of files, whatever the locale.
    public static void main(String[] args) {
        Locale.setDefault(Locale.US);
        StandardOutput output = new StandardOutput();
        PrintWriter out = writer(output, System.out.charset());
        PrintWriter err = writer(System.err, System.err.charset());
        int exit = run(args, out, err);
        out.flush();
        if (output.failure().isPresent()) {
            err.println("ucp: standard output: " + output.failure().get());
            exit = Math.max(exit, ExitCode.IO.code());
        }
        err.flush();
        System.exit(exit);
    }

    /// Runs one command in this process and returns its exit code; writes to nothing but the two
    /// writers, exits never.
    static int run(String[] args, PrintWriter out, PrintWriter err) {
        if (asksForVersion(args)) {
            Version.lines().forEach(out::println);
            return ExitCode.DONE.code();
        }
        CommandLine command = withHelp(Terminal.out());
        named(args).ifPresentOrElse(only -> add(command, only), () -> addAll(command));
        Failures failures = new Failures(args);
        numbersOf(command)
                .setOut(out)
                .setErr(err)
                .setParameterExceptionHandler(failures)
                .setExecutionExceptionHandler(failures);
        try {
            return command.execute(args);
        } catch (OutOfMemoryError | StackOverflowError e) {
            return failures.handle(e, command);
        }
    }

    /// The whole command tree, for completion scripts and man pages.
    public static CommandLine commandLine() {
        CommandLine command = withHelp(new Terminal(false, HELP_COLUMNS, false));
        addAll(command);
        return command;
    }

    private static CommandLine withHelp(Terminal terminal) {
        CommandLine command = new CommandLine(new Main());
        return command.setUsageHelpWidth(Math.clamp(terminal.columns(), HELP_COLUMNS, WIDEST_HELP))
                .setColorScheme(
                        Help.defaultColorScheme(terminal.colour() ? Help.Ansi.ON : Help.Ansi.OFF));
    }

    /// For all commands that are there.
    private static CommandLine numbersOf(CommandLine command) {
        return command.registerConverter(Long.class, new WholeNumber.Large())
                .registerConverter(Integer.class, new WholeNumber.Small())
                .registerConverter(int.class, new WholeNumber.Small());
    }

    /// Without a command there is nothing to do.
    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a command is missing");
    }

    /// Then not even the parser of arguments is worth loading.
    private static boolean asksForVersion(String[] args) {
        return args.length == 1 && (args[0].equals("--version") || args[0].equals("-V"));
    }

    private static Optional<Subcommand> named(String[] args) {
        for (Subcommand subcommand : Subcommand.values()) {
            if (args.length > 0 && args[0].equals(subcommand.label())) {
                return Optional.of(subcommand);
            }
        }
        return Optional.empty();
    }

    private static void addAll(CommandLine command) {
        for (Subcommand subcommand : Subcommand.values()) {
            add(command, subcommand);
        }
    }

    private static void add(CommandLine command, Subcommand subcommand) {
        command.addSubcommand(subcommand.label(), subcommand.create());
    }

    private static PrintWriter writer(OutputStream stream, Charset charset) {
        return new PrintWriter(new OutputStreamWriter(stream, charset), true);
    }
}
