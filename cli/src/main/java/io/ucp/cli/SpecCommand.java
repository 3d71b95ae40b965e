package io.ucp.cli;

import io.ucp.bind.SpecLibrary;
import io.ucp.lang.diagnostic.NearestNames;
import io.ucp.lang.diagnostic.SourceText;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/// `ucp spec`: the specs that come with ucp.
@Command(
        name = "spec",
        description = "List and show the layout specs that come with ucp.",
        synopsisSubcommandLabel = "COMMAND",
        subcommands = {SpecCommand.Listing.class, SpecCommand.Show.class},
        footer = {"", "Example: ucp spec show megatron_deepspeed_llama >model.ucl"})
final class SpecCommand implements Runnable {
    @Spec private CommandSpec spec;

    /// Without a command there is nothing to do.
    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a command is missing: list or show");
    }

    /// `ucp spec list`.
    @Command(name = "list", description = "List the bundled specs.")
    static final class Listing extends Reporting {
        @Override
        ExitCode run() throws IOException {
            Map<String, String> specs = new LinkedHashMap<>();
            for (String name : SpecLibrary.names()) {
                specs.put(name, SpecLibrary.text(name).map(Listing::about).orElse(""));
            }
            if (json()) {
                Json.print(
                        out(),
                        fields ->
                                Json.objects(
                                        fields,
                                        "specs",
                                        specs.entrySet(),
                                        (json, spec) -> {
                                            json.writeStringField("name", spec.getKey());
                                            json.writeStringField("about", spec.getValue());
                                        }));
            } else {
                Table table = new Table("spec", "about");
                specs.forEach(table::row);
                table.print(out(), Terminal.out());
            }
            return ExitCode.DONE;
        }

        /// The first sentence of the first comment.
        private static String about(SourceText text) {
            String comment =
                    text.text()
                            .lines()
                            .dropWhile(line -> !line.startsWith("//"))
                            .takeWhile(line -> line.startsWith("//"))
                            .map(line -> line.substring(2).strip())
                            .collect(Collectors.joining(" "));
            int end = comment.indexOf(". ");
            return end < 0 ? comment : comment.substring(0, end + 1);
        }
    }

    /// `ucp spec show NAME`.
    @Command(name = "show", description = "Print a bundled spec.")
    static final class Show extends Reporting {
        @Parameters(paramLabel = "NAME", description = "As `ucp spec list` has it.")
        private String name = "";

        @Override
        ExitCode run() throws IOException {
            SourceText text = SpecLibrary.text(name).orElseThrow(this::unknown);
            if (json()) {
                Json.print(
                        out(),
                        fields -> {
                            fields.writeStringField("name", name);
                            fields.writeStringField("text", text.text());
                        });
            } else {
                out().print(text.text());
                out().flush();
            }
            return ExitCode.DONE;
        }

        private ParameterException unknown() {
            return new ParameterException(
                    spec().commandLine(),
                    "no bundled spec is named '%s'; expected one of the %d names that `ucp spec list` shows%s"
                            .formatted(
                                    Printable.of(name),
                                    SpecLibrary.names().size(),
                                    NearestNames.hint(name, SpecLibrary.names())
                                            .map("; %s"::formatted)
                                            .orElse("")));
        }
    }
}
