package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;

import org.junit.jupiter.api.Test;

import picocli.CommandLine;
import picocli.CommandLine.Help;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/// Every command in the documentation, and in the examples of the help, is one that ucp takes.
final class DocumentedCommandsTest {
    private static final Pattern CONSOLE =
            Pattern.compile("^\\$ (?:cli/)?ucp ([^|<>&#\n]*)", Pattern.MULTILINE);
    private static final Pattern README =
            Pattern.compile("^cli/ucp ([^|<>&#\n]*)", Pattern.MULTILINE);
    private static final Pattern EXAMPLE = Pattern.compile("\\bucp ([a-z]+ [^|<>&)#\n]*)");

    @Test
    void commandsInTheDocumentationParse() throws IOException {
        List<String> commands = new ArrayList<>();
        try (Stream<Path> docs = Files.walk(Path.of("../docs"))) {
            for (Path page : docs.filter(p -> p.toString().endsWith(".md")).toList()) {
                commands.addAll(found(CONSOLE, Files.readString(page)));
            }
        }
        commands.addAll(found(README, Files.readString(Path.of("../README.md"))));
        assertThat(commands).isNotEmpty();
        commands.forEach(DocumentedCommandsTest::parses);
    }

    @Test
    void examplesInTheHelpParse() {
        Main.commandLine()
                .getSubcommands()
                .forEach(
                        (name, command) -> {
                            if (!command.getCommandSpec().usageMessage().hidden()) {
                                List<String> examples = examples(command);
                                assertThat(examples).as(name).isNotEmpty();
                                examples.forEach(DocumentedCommandsTest::parses);
                            }
                        });
    }

    private static List<String> examples(CommandLine command) {
        String footer = String.join("\n", command.getCommandSpec().usageMessage().footer());
        return found(EXAMPLE, Help.Ansi.OFF.string(footer));
    }

    private static List<String> found(Pattern pattern, String text) {
        Matcher matcher = pattern.matcher(text);
        return matcher.results().map(each -> each.group(1).strip()).toList();
    }

    private static void parses(String arguments) {
        String[] words =
                Arrays.stream(arguments.split("\\s+", -1))
                        .filter(word -> !word.isEmpty())
                        .toArray(String[]::new);
        assertThatCode(() -> Main.commandLine().parseArgs(words))
                .as("ucp " + arguments)
                .doesNotThrowAnyException();
    }
}
