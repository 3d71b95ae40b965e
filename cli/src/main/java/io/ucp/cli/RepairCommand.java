package io.ucp.cli;

import io.ucp.parity.Health;
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

/// `ucp repair`: lost and damaged files, bit for bit.
@Command(
        name = "repair",
        description = "Rebuild the missing and damaged files of a protected checkpoint.",
        footer = {
            "",
            "Every file is checked first; a rebuilt one takes its place whole. Example:",
            "  ucp repair ckpt --parity ckpt-parity"
        })
final class RepairCommand extends Reporting {
    @Parameters(paramLabel = "CKPT", description = "What was protected.")
    private Path checkpoint;

    @Option(
            names = "--parity",
            required = true,
            paramLabel = "PARITY",
            description = "The folder that `ucp protect` wrote, or what is left of it.")
    private Path parity;

    @Mixin private WorkOptions work;

    @Override
    ExitCode run() throws IOException {
        ProtectedCheckpoint opened = ProtectedCheckpoint.open(checkpoint, parity);
        List<Path> repaired;
        Health health;
        try (Interruption stop = Interruption.armed(err(), spec().qualifiedName())) {
            try (Meter meter = Meter.of(work.progress(), false, err(), "scrubbing")) {
                health = Scrub.of(opened, work.running(stop), meter);
            }
            try (Meter meter = Meter.of(work.progress(), false, err(), "repairing")) {
                repaired = Repair.of(health, work.running(stop), meter);
            }
        }
        if (json()) {
            Json.print(
                    out(),
                    fields -> {
                        HealthReport.write(fields, health);
                        Json.texts(
                                fields, "repaired", repaired.stream().map(Path::toString).toList());
                    });
        } else {
            HealthReport.print(out(), health);
            repaired.forEach(path -> SourceReport.line(out(), "repaired", path));
            out().println(
                            Terminal.out().good("whole")
                                    + (repaired.isEmpty() ? ": nothing to repair" : ""));
        }
        return ExitCode.DONE;
    }
}
