package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.convert.Conversion;
import io.ucp.convert.Described;
import io.ucp.convert.RunOptions;
import io.ucp.convert.Verification;
import io.ucp.convert.Verification.Difference;
import io.ucp.convert.Verification.Verdict;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;

/// `ucp verify`: one checkpoint against itself, or two against each other.
@Command(
        name = "verify",
        description = {
            "Check a checkpoint's structure, digests and replicas; or with two, whether they hold"
                    + " the same state, whatever their layouts and formats."
        },
        footer = {
            "",
            "With two, --spec and --set are for both, --from is for the first.",
            "Ends with 1 where something differs. Example: ucp verify ckpt ckpt-universal"
        })
final class Verify extends Reporting {
    private static final int SHOWN = 20;

    @Parameters(index = "0", paramLabel = "A", description = "A checkpoint.")
    private Path first;

    @Parameters(
            index = "1",
            arity = "0..1",
            paramLabel = "B",
            description = "Another, to compare with.")
    private Optional<Path> second = Optional.empty();

    @Mixin private SourceOptions reading;

    @Option(
            names = "--progress",
            paramLabel = "WHEN",
            defaultValue = "auto",
            description = "Show how far it is: ${COMPLETION-CANDIDATES}.")
    private Meter.When progress;

    @Option(names = "--all", description = "Name every difference.")
    private boolean all;

    @Override
    ExitCode run() throws IOException {
        Verdict verdict;
        try (Meter meter = Meter.of(progress, false, err(), "verifying")) {
            verdict =
                    second.isPresent()
                            ? compare(second.get(), meter)
                            : Verification.check(
                                    reading.describe(first), RunOptions.standard(), meter);
        }
        if (json()) {
            write(verdict);
        } else {
            print(verdict);
        }
        return verdict.equal() ? ExitCode.DONE : ExitCode.DIFFERENCE;
    }

    private Verdict compare(Path other, Meter meter) throws IOException {
        Described mine = reading.describe(first);
        Described theirs =
                Conversion.describe(
                        other,
                        Optional.empty(),
                        reading.spec(),
                        reading.settings(),
                        reading.names());
        return Verification.compare(mine, theirs, RunOptions.standard(), meter);
    }

    private void print(Verdict verdict) {
        Terminal terminal = Terminal.out();
        if (!verdict.equal()) {
            Table table = new Table("parameter", "state", "difference");
            verdict.differences().stream()
                    .limit(all ? verdict.differences().size() : SHOWN)
                    .forEach(
                            difference ->
                                    table.row(
                                            difference.parameter(),
                                            difference.state(),
                                            difference.what()));
            table.print(out(), terminal);
            int more = verdict.differences().size() - SHOWN;
            if (!all && more > 0) {
                out().println("and %d more; --all names them".formatted(more));
            }
        }
        SourceReport.notes(out(), terminal, "note", verdict.notes());
        String checked =
                "%s, %s"
                        .formatted(
                                Quantity.count(verdict.states(), "state"),
                                Quantity.bytes(verdict.bytes()));
        out().println(
                        verdict.equal()
                                ? terminal.good(second.isPresent() ? "equal" : "whole")
                                        + ": "
                                        + checked
                                : terminal.warning(second.isPresent() ? "different" : "damaged")
                                        + ": %s in %s"
                                                .formatted(
                                                        Quantity.count(
                                                                verdict.differences().size(),
                                                                "difference"),
                                                        checked));
    }

    private void write(Verdict verdict) {
        Json.print(
                out(),
                json -> {
                    json.writeBooleanField("equal", verdict.equal());
                    json.writeNumberField("states", verdict.states());
                    json.writeNumberField("bytes", verdict.bytes());
                    Json.objects(
                            json,
                            "differences",
                            verdict.differences(),
                            (fields, difference) -> write(fields, difference));
                    Json.texts(json, "notes", verdict.notes());
                });
    }

    private static void write(JsonGenerator json, Difference difference) throws IOException {
        json.writeStringField("parameter", difference.parameter());
        json.writeStringField("state", difference.state());
        json.writeStringField("what", difference.what());
    }
}
