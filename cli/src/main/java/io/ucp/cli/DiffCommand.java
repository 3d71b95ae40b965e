package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.convert.CheckpointDiff;
import io.ucp.convert.CheckpointDiff.Numbers;
import io.ucp.convert.CheckpointDiff.StateDifference;
import io.ucp.convert.Described;
import io.ucp.convert.RunOptions;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/// `ucp diff`: by how much two checkpoints differ.
@Command(
        name = "diff",
        description = {
            "Say by how much two checkpoints differ, parameter by parameter and state by state,"
                    + " whatever their layouts and formats."
        },
        footer = {
            "",
            "--spec and --set are for both, --from is for the first. Ends with 1 where something",
            "differs by more than the tolerance. Example:",
            "  ucp diff ckpt-a ckpt-b --tolerance 1e-6"
        })
final class DiffCommand extends Reporting {
    private static final int SHOWN = 40;

    @Parameters(index = "0", paramLabel = "A", description = "A checkpoint.")
    private Path first;

    @Parameters(index = "1", paramLabel = "B", description = "Another.")
    private Path second;

    @Option(
            names = "--tolerance",
            paramLabel = "NUMBER",
            description =
                    "Take states for equal whose elements differ by at most this; types may differ"
                            + " then.")
    private Optional<Double> tolerance = Optional.empty();

    @Option(
            names = "--ulps",
            paramLabel = "N",
            description = "The same, in units of the last place (of the wider type).")
    private Optional<Long> ulps = Optional.empty();

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
        if (tolerance.filter(t -> !(t >= 0)).isPresent()) {
            throw new ParameterException(
                    spec().commandLine(),
                    "--tolerance is %s; expected 0 or more".formatted(tolerance.get()));
        }
        if (ulps.filter(u -> u < 0).isPresent()) {
            throw new ParameterException(
                    spec().commandLine(), "--ulps is %d; expected 0 or more".formatted(ulps.get()));
        }
        Described mine = reading.describe(first);
        Described theirs =
                Described.of(
                        second,
                        Optional.empty(),
                        reading.spec(),
                        reading.settings(),
                        reading.names());
        CheckpointDiff.Result result;
        try (Meter meter = Meter.of(progress, false, err(), "comparing")) {
            result =
                    CheckpointDiff.of(
                            mine,
                            theirs,
                            new CheckpointDiff.Tolerance(tolerance, ulps),
                            RunOptions.standard(),
                            meter);
        }
        if (json()) {
            write(result);
        } else {
            print(result);
        }
        return result.equal() ? ExitCode.DONE : ExitCode.DIFFERENCE;
    }

    private void print(CheckpointDiff.Result result) {
        Terminal terminal = Terminal.out();
        if (!result.states().isEmpty()) {
            Table table =
                    new Table(
                            "parameter",
                            "state",
                            "dtype",
                            "differ",
                            "of",
                            "largest",
                            "mean",
                            "ULPs",
                            "first at");
            result.states().stream()
                    .limit(all ? result.states().size() : SHOWN)
                    .forEach(state -> row(table, state));
            table.print(out(), terminal);
            more(result.states().size());
        }
        if (!result.others().isEmpty()) {
            Table table = new Table("parameter", "state", "difference");
            result.others().stream()
                    .limit(all ? result.others().size() : SHOWN)
                    .forEach(o -> table.row(o.parameter(), o.state(), o.what()));
            table.print(out(), terminal);
            more(result.others().size());
        }
        SourceReport.notes(out(), terminal, "note", result.notes());
        String compared =
                "%s, %s"
                        .formatted(
                                Quantity.count(result.compared(), "state"),
                                Quantity.bytes(result.bytes()));
        String within =
                result.within() == 0
                        ? ""
                        : "; %s within the tolerance"
                                .formatted(Quantity.count(result.within(), "more difference"));
        int differences = result.states().size() + result.others().size();
        out().println(
                        (result.equal()
                                        ? terminal.good("equal") + ": " + compared
                                        : terminal.warning("different")
                                                + ": %s in %s"
                                                        .formatted(
                                                                Quantity.count(
                                                                        differences, "difference"),
                                                                compared))
                                + within);
    }

    private void more(int count) {
        if (!all && count > SHOWN) {
            out().println("and %d more; --all names them".formatted(count - SHOWN));
        }
    }

    private static void row(Table table, StateDifference state) {
        Optional<Numbers> numbers = state.numbers();
        table.row(
                state.parameter(),
                state.state(),
                state.first() == state.second()
                        ? state.first().torchName()
                        : state.first().torchName() + " / " + state.second().torchName(),
                Quantity.count(state.elements()),
                Quantity.count(state.shape().count()),
                numbers.map(n -> number(n.largest())).orElse(""),
                numbers.map(n -> number(n.mean())).orElse(""),
                numbers.map(n -> ulps(n.ulps())).orElse(""),
                state.index() < 0 ? "" : Arrays.toString(at(state)));
    }

    private static String number(double value) {
        return String.format(Locale.ROOT, "%.3g", value);
    }

    private static String ulps(long ulps) {
        return ulps == Long.MAX_VALUE ? "NaN" : Quantity.count(ulps);
    }

    /// The index of the first element that differs, dim by dim.
    private static long[] at(StateDifference state) {
        long[] dims = state.shape().dims();
        long rest = state.index();
        for (int d = dims.length - 1; d >= 0; d--) {
            long extent = dims[d];
            dims[d] = rest % extent;
            rest /= extent;
        }
        return dims;
    }

    private void write(CheckpointDiff.Result result) {
        Json.print(
                out(),
                json -> {
                    json.writeBooleanField("equal", result.equal());
                    json.writeNumberField("states", result.compared());
                    json.writeNumberField("bytes", result.bytes());
                    json.writeNumberField("within_tolerance", result.within());
                    Json.objects(json, "differing", result.states(), DiffCommand::write);
                    Json.objects(json, "differences", result.others(), VerdictReport::write);
                    Json.texts(json, "notes", result.notes());
                });
    }

    private static void write(JsonGenerator json, StateDifference state) throws IOException {
        json.writeStringField("parameter", state.parameter());
        json.writeStringField("state", state.state());
        Json.texts(json, "dtypes", List.of(state.first().torchName(), state.second().torchName()));
        Json.numbers(json, "shape", state.shape().dims());
        json.writeNumberField("elements", state.elements());
        if (state.index() >= 0) {
            json.writeNumberField("first", state.index());
            Json.numbers(json, "first_at", at(state));
        }
        if (state.numbers().isPresent() && state.elements() > 0) {
            Numbers numbers = state.numbers().get();
            Json.number(json, "largest", numbers.largest());
            Json.number(json, "mean", numbers.mean());
            if (numbers.ulps() != Long.MAX_VALUE) {
                json.writeNumberField("ulps", numbers.ulps());
            }
        }
    }
}
