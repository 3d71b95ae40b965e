package io.ucp.cli;

import io.ucp.bind.TargetRequest;
import io.ucp.convert.Conversion;
import io.ucp.convert.Described;
import io.ucp.convert.Layouts;
import io.ucp.convert.Names;
import io.ucp.convert.Part;
import io.ucp.convert.Prepared;
import io.ucp.convert.Request;
import io.ucp.formats.CheckpointFormat;
import io.ucp.layout.ImpossibleLayoutException;

import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/// What is to be written: the options that `convert` and `plan` share.
final class TargetOptions {
    /// Formats with a form of weights alone.
    private static final List<String> WEIGHTS_ALONE =
            List.of("deepspeed", "safetensors", "torch", "universal");

    @Spec(Spec.Target.MIXEE)
    private CommandSpec spec;

    @Option(
            names = "--to",
            required = true,
            paramLabel = "FORMAT",
            completionCandidates = FormatNames.class,
            description = "The format to write: ${COMPLETION-CANDIDATES}.")
    private String to = "";

    @Option(
            names = "--target-spec",
            paramLabel = "FILE|NAME",
            description =
                    "The spec that has the target's names and cuts, a file or a name of `ucp spec"
                            + " list`; without it the format's framework and the bundled families"
                            + " say.")
    private Optional<String> targetSpec = Optional.empty();

    @Option(
            names = "--compress",
            paramLabel = "METHOD",
            description =
                    "Compress the tensors of the universal format: zstd, or zstd:1 to zstd:22.")
    private Optional<String> compress = Optional.empty();

    @Option(
            names = "--shuffle",
            description =
                    "Sort the bytes of the elements by their place before they are compressed: a"
                            + " tenth smaller and no slower, but Arrow's readers see the bytes of"
                            + " an element apart.")
    private boolean shuffle;

    @Option(
            names = "--max-shard-size",
            paramLabel = "SIZE",
            description =
                    "Most bytes of tensors in a file of a model's folder: 5GB, 200MB, 1000000; as"
                            + " in the source, or 5GB, if not given.")
    private Optional<String> maxShardSize = Optional.empty();

    @Option(
            names = "--with-optimizer",
            description =
                    "Write the optimizer's states beside the weights of a model's folder, in files"
                            + " of their own.")
    private boolean withOptimizer;

    @Option(
            names = "--weights-only",
            description =
                    "Write the model's weights alone, the source's own, and leave the optimizer's"
                            + " states; for deepspeed, universal, safetensors and torch.")
    private boolean weightsOnly;

    @Option(
            names = "--strict",
            description =
                    "Refuse where the target has no place for something, or where copies that"
                            + " should be equal differ and the first would be taken.")
    private boolean strict;

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Workers; as many as there are processors if not given.")
    private Optional<Integer> threads = Optional.empty();

    @Mixin private JobOptions job;

    boolean strict() {
        return strict;
    }

    int threads() {
        int workers = threads.orElse(Runtime.getRuntime().availableProcessors());
        if (workers < 1 || workers > 1024) {
            throw new ParameterException(
                    spec.commandLine(), "--threads is %d; expected 1 to 1024".formatted(workers));
        }
        return workers;
    }

    Prepared prepare(Path given, SourceOptions reading) throws IOException {
        Path source = reading.through(given);
        Request request = request(source, reading);
        OptionalInt gpus = job.gpus();
        return gpus.isEmpty()
                ? Conversion.prepare(request, reading.describe(request))
                : prepare(request, reading.describe(request), gpus.getAsInt());
    }

    /// Parts of what is read.
    Prepared prepare(Path given, SourceOptions reading, Part part) throws IOException {
        Path source = reading.through(given);
        Request request = whole(source, reading);
        return Conversion.prepare(request, reading.describe(request), part);
    }

    /// For a target that holds every parameter whole: a part of a model has no job.
    Request whole(Path source, SourceOptions reading) {
        Request request = request(source, reading);
        if (request.target().isPresent()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--to %s is for the ranks of a job; expected a format that holds every parameter"
                                    .formatted(to)
                            + " whole, such as universal or safetensors; `ucp convert` makes the"
                            + " ranks of that");
        }
        return request;
    }

    private Request request(Path source, SourceOptions reading) {
        threads();
        requireOneForNames(reading);
        Map<String, String> options = new LinkedHashMap<>();
        if (shuffle && compress.isEmpty()) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--shuffle without --compress; expected --compress zstd beside it");
        }
        compress.ifPresent(
                method -> options.put("compress", method(method) + (shuffle ? "+shuffle" : "")));
        maxShardSize.ifPresent(size -> options.put("max-shard-size", bytes(size)));
        if (withOptimizer) {
            options.put("with-optimizer", "true");
        }
        Optional<TargetRequest> target = job.job(to);
        options.putAll(job.options(to));
        requireTaken(options);
        if (weightsOnly) {
            requireWeightsAlone();
            options.put(Request.WEIGHTS_ONLY, "true");
        }
        return new Request(
                source,
                reading.from(),
                to,
                reading.spec(),
                reading.settings(),
                options,
                targetSpec,
                reading.names(),
                target);
    }

    /// In the layout that is the smallest move.
    private Prepared prepare(Request request, Described described, int gpus) throws IOException {
        Layouts layouts =
                Layouts.of(request, described, new Layouts.Cluster(gpus, gpus, Long.MAX_VALUE, 1));
        if (layouts.possible().isEmpty()) {
            throw new ImpossibleLayoutException(
                    "--gpus %d: %s"
                            .formatted(
                                    gpus,
                                    layouts.impossible().keySet().stream()
                                            .findFirst()
                                            .orElse("no layout")),
                    "a number of ranks that the model can run on\nhint: `ucp layouts --gpus %d%s"
                            .formatted(
                                    gpus,
                                    layouts.untried() > 0
                                            ? " --all` tries %,d layouts more"
                                                    .formatted(layouts.untried())
                                            : "` says why"));
        }
        TargetRequest.VocabularyPadding vocabulary = request.target().orElseThrow().vocabulary();
        return Conversion.prepare(
                request.withTarget(layouts.possible().getFirst().asked(vocabulary)), described);
    }

    /// Of a format that takes them. What no format is called is told later.
    private void requireTaken(Map<String, String> options) {
        List<CheckpointFormat> formats = CheckpointFormat.all();
        for (String option : options.keySet()) {
            List<String> taking =
                    formats.stream()
                            .filter(format -> format.options().contains(option))
                            .map(CheckpointFormat::name)
                            .sorted()
                            .toList();
            boolean known = formats.stream().anyMatch(format -> format.name().equals(to));
            if (known && !taking.contains(to)) {
                throw new ParameterException(
                        spec.commandLine(),
                        "--%s is not for --to %s; expected it with --to %s"
                                .formatted(option, to, String.join(" or ", taking)));
            }
        }
    }

    /// A spec for the target has the target's names.
    private void requireOneForNames(SourceOptions reading) {
        if (targetSpec.isPresent() && reading.names() != Names.AUTO) {
            throw new ParameterException(
                    spec.commandLine(),
                    ("--names %s and --target-spec %s; expected one of them: the target has the"
                                    + " names of its spec")
                            .formatted(
                                    reading.names().name().toLowerCase(Locale.ROOT),
                                    Printable.of(targetSpec.get())));
        }
    }

    private void requireWeightsAlone() {
        boolean known = CheckpointFormat.all().stream().anyMatch(f -> f.name().equals(to));
        if (known && !WEIGHTS_ALONE.contains(to)) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--weights-only is not for --to %s; expected it with --to %s"
                            .formatted(to, String.join(" or ", WEIGHTS_ALONE)));
        }
        if (withOptimizer) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--weights-only and --with-optimizer; expected one of them");
        }
    }

    private String bytes(String size) {
        return Quantity.size(size).stream()
                .mapToObj(Long::toString)
                .findFirst()
                .orElseThrow(
                        () ->
                                new ParameterException(
                                        spec.commandLine(),
                                        "--max-shard-size is '%s'; expected a size such as 5GB"
                                                .formatted(Printable.of(size))));
    }

    private String method(String method) {
        if (!method.matches("zstd(:([1-9]|1[0-9]|2[0-2]))?")) {
            throw new ParameterException(
                    spec.commandLine(),
                    "--compress is '%s'; expected zstd, or zstd:1 to zstd:22"
                            .formatted(Printable.of(method)));
        }
        return method;
    }
}
