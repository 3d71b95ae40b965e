package io.ucp.cli;

import io.ucp.convert.Described;
import io.ucp.convert.SpecSource;
import io.ucp.lang.Ucl;
import io.ucp.lang.ast.Spec;
import io.ucp.lang.diagnostic.Diagnostic;
import io.ucp.lang.diagnostic.SpecException;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// `ucp check`: whether a spec is right, by itself or for a checkpoint.
@Command(
        name = "check",
        description = "Check a spec, by itself or against a checkpoint.",
        footer = {
            "",
            "Ends with 1 where the spec does not describe the checkpoint, with 2 where it is wrong"
                    + " by itself.",
            "Example: ucp check model.ucl --against ckpt"
        })
final class Check extends Reporting {
    @Parameters(paramLabel = "SPEC", description = "A file, or a name of `ucp spec list`.")
    private String spec = "";

    @Option(
            names = "--against",
            paramLabel = "CKPT",
            description = "A checkpoint that it should describe, to the last element.")
    private Optional<Path> checkpoint = Optional.empty();

    @Option(
            names = "--from",
            paramLabel = "FORMAT",
            description = "Read the checkpoint as this format, where a folder holds several.")
    private Optional<String> from = Optional.empty();

    @Option(
            names = "--set",
            paramLabel = "NAME=NUMBER",
            description = "Give a constant of the spec its value; may be repeated.")
    private Map<String, Long> settings = new LinkedHashMap<>();

    @Override
    ExitCode run() throws IOException {
        Spec parsed = SpecSource.named(spec).spec();
        List<Diagnostic> warnings = Ucl.warnings(parsed);
        if (checkpoint.isEmpty()) {
            report(
                    "%s: no errors%s; %s"
                            .formatted(
                                    spec,
                                    warnings.isEmpty()
                                            ? ""
                                            : ", " + Quantity.count(warnings.size(), "warning"),
                                    Quantity.count(parsed.statements().size(), "statement")),
                    warnings);
            return ExitCode.DONE;
        }
        try {
            Described described = Described.of(checkpoint.get(), from, Optional.of(spec), settings);
            report(
                    "%s: describes %s: %s, every element once"
                            .formatted(
                                    spec,
                                    checkpoint.get(),
                                    Quantity.count(
                                            described.inventory().parameters().size(),
                                            "parameter")),
                    warnings);
            return ExitCode.DONE;
        } catch (SpecException e) {
            unfit(e, warnings);
            return ExitCode.DIFFERENCE;
        }
    }

    private void report(String text, List<Diagnostic> warnings) {
        if (json()) {
            Json.print(
                    out(),
                    fields -> {
                        fields.writeBooleanField("fits", true);
                        Failure.diagnostics(fields, warnings);
                    });
        } else {
            warnings.forEach(out()::println);
            out().println(Printable.of(text));
        }
    }

    private void unfit(SpecException failure, List<Diagnostic> warnings) {
        if (json()) {
            Json.print(
                    out(),
                    fields -> {
                        fields.writeBooleanField("fits", false);
                        List<Diagnostic> all = new ArrayList<>(failure.diagnostics());
                        all.addAll(warnings);
                        Failure.diagnostics(fields, all);
                    });
        } else {
            warnings.forEach(out()::println);
            out().println(failure.getMessage());
        }
    }
}
