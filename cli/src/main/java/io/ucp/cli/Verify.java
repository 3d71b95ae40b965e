package io.ucp.cli;

import io.ucp.checkpoint.Parameter;
import io.ucp.convert.Described;
import io.ucp.convert.DigestFile;
import io.ucp.convert.NumericHealth;
import io.ucp.convert.RunOptions;
import io.ucp.convert.Verification;
import io.ucp.convert.Verification.Difference;
import io.ucp.convert.Verification.Verdict;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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

    @Option(
            names = "--against",
            paramLabel = "FILE",
            description =
                    "Compare with the digests that `ucp digest --record FILE` wrote; no second copy"
                            + " is needed.")
    private Optional<Path> against = Optional.empty();

    @Mixin private NumericOptions numeric;

    @Option(
            names = "--report",
            paramLabel = "KIND=FILE",
            description =
                    "Write what was found to a file too: text, json, junit, sarif or github; may be"
                            + " repeated. `-` is standard output, in place of the text.")
    private Map<VerdictReport.Kind, Path> reports = new LinkedHashMap<>();

    @Override
    ExitCode run() throws IOException {
        if (second.isPresent() && (against.isPresent() || numeric.asked())) {
            throw new ParameterException(
                    spec().commandLine(),
                    "--against and --numeric are of one checkpoint; expected no second one");
        }
        numeric.require();
        requireOneEach();
        for (Path file : reports.values()) {
            if (!isStandardOutput(file)) {
                requireFolder(file);
            }
        }
        try {
            return verified();
        } catch (IOException | RuntimeException e) {
            report(e);
            throw e;
        }
    }

    private ExitCode verified() throws IOException {
        Optional<DigestFile> recorded =
                against.isPresent()
                        ? Optional.of(DigestFile.read(against.get()))
                        : Optional.empty();
        Described described = reading.describe(first);
        Verdict verdict;
        List<NumericHealth.State> numbers = List.of();
        try (Meter meter = Meter.of(progress, false, err(), "verifying")) {
            verdict =
                    second.isPresent()
                            ? compare(described, second.get(), meter)
                            : Verification.check(described, recorded, RunOptions.standard(), meter);
        }
        if (numeric.asked()) {
            try (Meter meter = Meter.of(progress, false, err(), "measuring")) {
                NumericHealth.Result health =
                        NumericHealth.of(
                                described.inventory(),
                                numeric.thresholds(),
                                RunOptions.standard(),
                                meter);
                numbers = health.states();
                verdict = verdict.and(health.verdict());
            }
        }
        VerdictReport report = new VerdictReport(first.toString(), states(described), verdict);
        boolean printed = report(report);
        if (json()) {
            List<NumericHealth.State> measured = numbers;
            report.json(out(), json -> NumericOptions.write(json, measured));
        } else if (!printed) {
            report.text(
                    out(),
                    Terminal.out(),
                    all,
                    second.isPresent() ? Optional.of("equal") : Optional.empty());
        }
        return verdict.equal() ? ExitCode.DONE : ExitCode.DIFFERENCE;
    }

    /// A checkpoint that cannot be read is reported too: an earlier report would be taken for this
    /// one's.
    private void report(Exception thrown) {
        Failure failure = Failure.of(thrown);
        String hint = failure.hint().map(h -> "; " + h).orElse("");
        Difference unread = new Difference(first.toString(), "", failure.message() + hint);
        Verdict verdict = new Verdict(List.of(unread), 0, 0, List.of());
        try {
            report(new VerdictReport(first.toString(), List.of(), verdict));
        } catch (IOException e) {
            thrown.addSuppressed(e);
        }
    }

    /// Neither a file nor standard output gets two reports, and no report is left out.
    private void requireOneEach() {
        int given =
                spec().commandLine().getParseResult().hasMatchedOption("--report")
                        ? spec().commandLine()
                                .getParseResult()
                                .matchedOption("--report")
                                .originalStringValues()
                                .size()
                        : 0;
        if (given > reports.size()) {
            throw new ParameterException(
                    spec().commandLine(),
                    "--report %s twice; expected a kind once"
                            .formatted(
                                    String.join(
                                            " or ",
                                            reports.keySet().stream().map(Enum::name).toList())));
        }
        long printed = reports.values().stream().filter(Verify::isStandardOutput).count();
        if (printed + (json() ? 1 : 0) > 1) {
            throw new ParameterException(
                    spec().commandLine(),
                    "two reports for standard output; expected files for all but one");
        }
    }

    private static boolean isStandardOutput(Path file) {
        return file.toString().equals("-");
    }

    /// @return whether standard output was taken
    private boolean report(VerdictReport report) throws IOException {
        boolean printed = false;
        for (Map.Entry<VerdictReport.Kind, Path> entry : reports.entrySet()) {
            if (isStandardOutput(entry.getValue())) {
                report.write(entry.getKey(), out());
                printed = true;
            } else {
                try (PrintWriter file =
                        new PrintWriter(Files.newBufferedWriter(entry.getValue()))) {
                    report.write(entry.getKey(), file);
                    if (file.checkError()) {
                        throw new FileSystemException(
                                entry.getValue().toString(), null, "it could not be written");
                    }
                }
            }
        }
        return printed;
    }

    private static List<String> states(Described described) {
        List<String> states = new ArrayList<>();
        for (Parameter parameter : described.inventory().parameters()) {
            parameter.states().keySet().forEach(s -> states.add(parameter.name() + "/" + s));
        }
        return states;
    }

    private Verdict compare(Described mine, Path other, Meter meter) throws IOException {
        Described theirs =
                Described.of(
                        other,
                        Optional.empty(),
                        reading.spec(),
                        reading.settings(),
                        reading.names());
        return Verification.compare(mine, theirs, RunOptions.standard(), meter);
    }
}
