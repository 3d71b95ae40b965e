package io.ucp.cli;

import io.ucp.checkpoint.Parameter;
import io.ucp.convert.Prepared;
import io.ucp.lang.diagnostic.NearestNames;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/// `ucp plan`: a conversion that stops before it reads any tensor.
@Command(
        name = "plan",
        description = "Say what a conversion would read, write and need; write nothing.",
        footer = {
            "",
            "Examples:",
            "  ucp plan ckpt --to universal",
            "  ucp plan ckpt --to universal --explain 1.word_embeddings.weight"
        })
final class Plan extends Reporting {
    @Parameters(
            paramLabel = "SRC",
            description = "The checkpoint: its root, with `latest`, or one tag's folder.")
    private Path source;

    @Option(
            names = {"-o", "--output"},
            paramLabel = "OUT",
            description = "Where it would be written: says whether the disk has room.")
    private Path output = Path.of("");

    @Mixin private TargetOptions target;

    @Mixin private SourceOptions reading;

    @Option(
            names = "--explain",
            paramLabel = "NAME",
            description = "Show where every element of this parameter lies.")
    private Optional<String> explained = Optional.empty();

    @Option(names = "--all", description = "List every file.")
    private boolean all;

    @Override
    ExitCode run() throws IOException {
        Prepared prepared = target.prepare(source, reading);
        if (explained.isPresent()) {
            Explanation explanation =
                    new Explanation(
                            parameter(prepared, explained.get()),
                            prepared.described().source().taken().folder());
            if (json()) {
                Json.print(out(), explanation::write);
            } else {
                explanation.print(out(), Terminal.out());
            }
        } else if (json()) {
            Json.print(
                    out(), fields -> PlanReport.write(fields, prepared, output, target.threads()));
        } else {
            SourceReport.print(out(), prepared.described());
            PlanReport.print(out(), Terminal.out(), prepared, output, target.threads(), all);
        }
        return ExitCode.DONE;
    }

    private Parameter parameter(Prepared prepared, String name) {
        return prepared.inventory()
                .find(name)
                .orElseThrow(
                        () -> {
                            List<String> names =
                                    prepared.inventory().parameters().stream()
                                            .map(Parameter::name)
                                            .toList();
                            String hint =
                                    NearestNames.hint(name, names)
                                            .map(text -> "; " + text)
                                            .orElse("; `ucp inspect --all` lists them");
                            return new ParameterException(
                                    spec().commandLine(),
                                    "no parameter is named '%s'%s"
                                            .formatted(Printable.of(name), Printable.of(hint)));
                        });
    }
}
