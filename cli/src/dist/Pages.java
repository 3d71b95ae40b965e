import io.ucp.cli.ExitCode;
import io.ucp.cli.Main;

import picocli.CommandLine;
import picocli.CommandLine.Help;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Locale;

/// What a shell and `man` know about ucp, written from picocli's model of the commands:
/// `man1/ucp.1`, `man1/ucp-COMMAND.1` and the completion scripts, under the folders where systems
/// look for them below `share`.
final class Pages {
    private final StringBuilder roff = new StringBuilder();

    private Pages() {}

    static void write(Path share, String version, Instant time) throws IOException {
        CommandLine ucp = Main.commandLine();
        Path man = Files.createDirectories(share.resolve("man/man1"));
        page(man, ucp, version, time);
        for (CommandLine command : visible(ucp)) {
            page(man, command, version, time);
        }
        completion(share.resolve("bash-completion/completions/ucp"), "bash");
        completion(share.resolve("zsh/site-functions/_ucp"), "zsh");
    }

    private static void completion(Path file, String shell) throws IOException {
        StringWriter script = new StringWriter();
        int exit = Main.commandLine().setOut(new PrintWriter(script)).execute("completion", shell);
        if (exit != 0) {
            throw new IllegalStateException("`ucp completion " + shell + "` ended with " + exit);
        }
        Files.createDirectories(file.getParent());
        Files.writeString(file, script.toString());
    }

    private static void page(Path man, CommandLine command, String version, Instant time)
            throws IOException {
        String name = command.getCommandSpec().qualifiedName("-");
        String date = time.atZone(ZoneOffset.UTC).toLocalDate().toString();
        Pages page = new Pages();
        page.macro("TH", name.toUpperCase(Locale.ROOT), "1", date, "ucp " + version, "");
        page.describe(command);
        Files.writeString(man.resolve(name + ".1"), page.roff);
        for (CommandLine nested : visible(command)) {
            if (command.getParent() != null) {
                page(man, nested, version, time);
            }
        }
    }

    private void describe(CommandLine command) {
        CommandSpec spec = command.getCommandSpec();
        Help help = command.setUsageHelpWidth(1000).getHelp();
        List<String> description = List.of(spec.usageMessage().description());

        macro("SH", "NAME");
        text(
                spec.qualifiedName("-")
                        + " - "
                        + (description.isEmpty() ? "" : description.getFirst()));
        macro("SH", "SYNOPSIS");
        text(help.synopsis(0).strip());
        macro("SH", "DESCRIPTION");
        description.forEach(this::paragraph);
        arguments("ARGUMENTS", spec.positionalParameters());
        arguments("OPTIONS", spec.options());
        commands(command);
        footer(spec);
        exitStatus();
    }

    private void arguments(String title, List<? extends ArgSpec> all) {
        List<? extends ArgSpec> shown =
                all.stream().filter(argument -> !argument.hidden()).toList();
        if (shown.isEmpty()) {
            return;
        }
        macro("SH", title);
        for (ArgSpec argument : shown) {
            macro("TP");
            text(
                    switch (argument) {
                        case OptionSpec option -> String.join(", ", option.names()) + value(option);
                        case PositionalParamSpec positional -> positional.paramLabel();
                        default -> throw new IllegalStateException(argument.toString());
                    });
            text(String.join(" ", argument.description()));
        }
    }

    private static String value(OptionSpec option) {
        return option.arity().max() == 0 ? "" : " " + option.paramLabel();
    }

    private void commands(CommandLine command) {
        List<CommandLine> nested = visible(command);
        if (nested.isEmpty()) {
            return;
        }
        macro("SH", "COMMANDS");
        for (CommandLine each : nested) {
            macro("TP");
            text(each.getCommandSpec().qualifiedName("-") + "(1)");
            text(String.join(" ", each.getCommandSpec().usageMessage().description()));
        }
    }

    private void footer(CommandSpec spec) {
        for (String line : spec.usageMessage().footer()) {
            if (!line.isBlank()) {
                paragraph(line);
            }
        }
    }

    private void exitStatus() {
        macro("SH", "EXIT STATUS");
        for (ExitCode exit : ExitCode.values()) {
            macro("TP");
            text(String.valueOf(exit.code()));
            text(exit.meaning());
        }
    }

    private void paragraph(String words) {
        macro("PP");
        text(words);
    }

    private void macro(String name, String... arguments) {
        roff.append('.').append(name);
        for (String argument : arguments) {
            roff.append(" \"").append(escape(argument)).append('"');
        }
        roff.append('\n');
    }

    private void text(String words) {
        for (String line : Help.Ansi.OFF.string(words).split("%n|\n")) {
            String escaped = escape(line.strip());
            roff.append(escaped.startsWith(".") || escaped.startsWith("'") ? "\\&" : "")
                    .append(escaped)
                    .append('\n');
        }
    }

    private static String escape(String words) {
        return words.replace("\\", "\\e").replace("-", "\\-").replace("\"", "\\(dq");
    }

    private static List<CommandLine> visible(CommandLine command) {
        return command.getSubcommands().values().stream()
                .filter(each -> !each.getCommandSpec().usageMessage().hidden())
                .distinct()
                .toList();
    }
}
