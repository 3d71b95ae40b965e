package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import static java.util.Objects.requireNonNull;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

final class MainTest {
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @ParameterizedTest
    @ValueSource(strings = {"--version", "-V"})
    void versionNamesUcpAndTheJavaThatRunsIt(String option) {
        assertThat(run(option)).isZero();
        assertThat(out.toString())
                .matches("ucp \\d+\\.\\d+\\.\\d+\\S*\\RJava 2[5-9].* \\(.+\\), .+\\R");
        assertThat(err.toString()).isEmpty();
    }

    @Test
    void helpListsEveryCommandThatIsNotHidden() {
        assertThat(run("--help")).isZero();
        assertThat(out.toString()).startsWith("Usage: ucp ");
        Main.commandLine()
                .getSubcommands()
                .forEach(
                        (name, command) ->
                                assertThat(out.toString().contains("\n  " + name + " "))
                                        .as(name)
                                        .isNotEqualTo(
                                                command.getCommandSpec().usageMessage().hidden()));
    }

    @Test
    void noCommandIsWrongUsage() {
        assertThat(run()).isEqualTo(ExitCode.USAGE.code());
        assertThat(err.toString())
                .isEqualToNormalizingNewlines("ucp: a command is missing\nTry `ucp --help`.\n");
        assertThat(out.toString()).isEmpty();
    }

    @Test
    void unknownCommandIsWrongUsage() {
        assertThat(run("convret")).isEqualTo(ExitCode.USAGE.code());
        assertThat(err.toString()).startsWith("ucp: Unmatched argument at index 0: 'convret'");
    }

    @Test
    void wrongOptionPointsToTheHelpOfItsCommand() {
        assertThat(run("completion", "--nope")).isEqualTo(ExitCode.USAGE.code());
        assertThat(err.toString())
                .startsWith("ucp completion: Unknown option: '--nope'")
                .contains("Try `ucp completion --help`.");
    }

    @Test
    void missingFileIsNamedAndIsAnIoError() {
        assertThat(run("rehearse", "no-such-file")).isEqualTo(ExitCode.IO.code());
        assertThat(err.toString())
                .isEqualToNormalizingNewlines(
                        """
                        ucp rehearse: no-such-file: no such file or folder
                        hint: check the path; a mount may be missing
                        """);
    }

    @Test
    void rehearsalRunsEveryLineAndStopsAtTheFirstThatFails(@TempDir Path folder)
            throws IOException {
        Path lines =
                Files.writeString(folder.resolve("lines"), "# all\n--version\n\nnope\n--help\n");
        assertThat(run("rehearse", lines.toString())).isEqualTo(ExitCode.USAGE.code());
        assertThat(err.toString()).isEqualToNormalizingNewlines("`ucp nope` ended with 2\n");
    }

    @Test
    void completionIsAScriptForTheShellAskedFor() {
        assertThat(run("completion", "bash")).isZero();
        assertThat(out.toString()).startsWith("#!").contains("_complete_ucp");
        out.getBuffer().setLength(0);
        assertThat(run("completion", "zsh")).isZero();
        assertThat(out.toString()).startsWith("#compdef ucp\n").contains("_complete_ucp");
    }

    @ParameterizedTest
    @EnumSource(Subcommand.class)
    void subcommandIsNamedAsItIsTyped(Subcommand subcommand) {
        CommandLine command =
                requireNonNull(Main.commandLine().getSubcommands().get(subcommand.label()));
        assertThat(command.getCommandName()).isEqualTo(subcommand.label());
        assertThat(command.getCommandSpec().usageMessage().description()).isNotEmpty();
    }

    @ParameterizedTest
    @EnumSource(ExitCode.class)
    void exitCodeIsInTheDocs(ExitCode code) throws IOException {
        assertThat(Files.readString(Path.of("../docs/exit-codes.md")))
                .contains("| %d | %s |".formatted(code.code(), code.meaning()));
    }

    @ParameterizedTest
    @EnumSource(Subcommand.class)
    void everyOptionIsInTheDocs(Subcommand subcommand) throws IOException {
        String page = Files.readString(Path.of("../docs/options.md"));
        assertThat(
                        options(
                                requireNonNull(
                                        Main.commandLine()
                                                .getSubcommands()
                                                .get(subcommand.label()))))
                .allSatisfy(
                        option ->
                                assertThat(page)
                                        .containsPattern(Pattern.quote(option) + "(?![a-z-])"));
    }

    @Test
    void thePageOfOptionsNamesNoneThatIsNotThere() throws IOException {
        Set<String> known = new TreeSet<>();
        Main.commandLine().getSubcommands().values().forEach(c -> known.addAll(options(c)));
        assertThat(
                        Pattern.compile("`(--[a-z-]+)")
                                .matcher(Files.readString(Path.of("../docs/options.md")))
                                .results()
                                .map(m -> m.group(1)))
                .isSubsetOf(known);
    }

    /// The long names of what a command and those below it take.
    private static Set<String> options(CommandLine command) {
        Set<String> names = new TreeSet<>();
        command.getCommandSpec().options().stream()
                .filter(o -> !o.hidden())
                .forEach(o -> names.add(o.longestName()));
        command.getSubcommands().values().forEach(below -> names.addAll(options(below)));
        return names;
    }

    private int run(String... args) {
        return Main.run(args, new PrintWriter(out, true), new PrintWriter(err, true));
    }
}
