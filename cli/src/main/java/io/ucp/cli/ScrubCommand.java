package io.ucp.cli;

import io.ucp.parity.Health;
import io.ucp.parity.Health.FileDamage;
import io.ucp.parity.ProtectedCheckpoint;
import io.ucp.parity.Repair;
import io.ucp.parity.Scrub;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/// `ucp scrub`: silent damage, found by digest.
@Command(
        name = "scrub",
        description = {
            "Read a protected checkpoint and its parity, and find what is missing or damaged, down"
                    + " to the block."
        },
        footer = {
            "",
            "Ends with 1 where something is. Example: ucp scrub ckpt --parity ckpt-parity --repair"
        })
final class ScrubCommand extends Reporting {
    @Parameters(paramLabel = "CKPT", description = "What was protected.")
    private Path checkpoint;

    @Option(
            names = "--parity",
            required = true,
            paramLabel = "PARITY",
            description = "The folder that `ucp protect` wrote, or what is left of it.")
    private Path parity;

    @Option(names = "--repair", description = "Rebuild what is missing or damaged.")
    private boolean repair;

    @Mixin private WorkOptions work;

    @Override
    ExitCode run() throws IOException {
        ProtectedCheckpoint opened = ProtectedCheckpoint.open(checkpoint, parity);
        Health health;
        try (Meter meter = Meter.of(work.progress(), false, err(), "scrubbing")) {
            health = Scrub.of(opened, work.running(() -> false), meter);
        }
        if (!json()) {
            HealthReport.print(out(), health);
            out().flush();
        }
        List<Path> repaired = repair ? repair(health) : List.of();
        if (json()) {
            Json.print(
                    out(),
                    fields -> {
                        fields.writeBooleanField("whole", health.whole());
                        HealthReport.write(fields, health);
                        Json.texts(
                                fields, "repaired", repaired.stream().map(Path::toString).toList());
                    });
        } else {
            print(health, repaired);
        }
        return health.whole() || repair ? ExitCode.DONE : ExitCode.DIFFERENCE;
    }

    private List<Path> repair(Health health) throws IOException {
        try (Interruption stop = Interruption.armed(err(), spec().qualifiedName());
                Meter meter = Meter.of(work.progress(), false, err(), "repairing")) {
            return Repair.of(health, work.running(stop), meter);
        }
    }

    private void print(Health health, List<Path> repaired) {
        Terminal terminal = Terminal.out();
        String checked = Quantity.bytes(health.bytes());
        if (health.whole()) {
            out().println(terminal.good("whole") + ": " + checked);
        } else {
            out().println(
                            terminal.warning("damaged")
                                    + ": %s in %s"
                                            .formatted(
                                                    Quantity.count(health.damages().size(), "file"),
                                                    checked));
        }
        if (repair) {
            repaired.forEach(path -> SourceReport.line(out(), "repaired", path));
        } else if (!health.whole() && health.repairable()) {
            SourceReport.line(
                    out(),
                    "next",
                    "ucp repair %s --parity %s"
                            .formatted(
                                    ConversionReport.quoted(checkpoint),
                                    ConversionReport.quoted(parity)));
            if (health.damages().stream().anyMatch(FileDamage::written)) {
                SourceReport.line(out(), "", "or, where it was written on purpose, protect again:");
                SourceReport.line(out(), "", "repair makes it what was protected");
            }
        } else if (!health.whole()) {
            SourceReport.line(out(), "next", "more is lost than the parity makes up for;");
            SourceReport.line(out(), "", health.missing().orElse(""));
        }
    }
}
