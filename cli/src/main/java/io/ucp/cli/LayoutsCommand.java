package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.convert.Described;
import io.ucp.convert.Layouts;
import io.ucp.convert.Layouts.Choice;
import io.ucp.convert.Request;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// `ucp layouts`: how a model can run on what is left of a cluster.
@Command(
        name = "layouts",
        description = "List the layouts that a model can have on a number of GPUs.",
        footer = {
            "",
            "The smallest move from today's layout is first. Memory is that of the fullest GPU:"
                    + " weights, gradients and optimizer states, without activations and buffers.",
            "Example:",
            "  ucp layouts ckpt --gpus 24 --gpu-memory 80G"
        })
final class LayoutsCommand extends Reporting {
    private static final int SHOWN = 8;

    @Parameters(
            paramLabel = "CKPT",
            description = "The checkpoint: its root, with `latest`, or one tag's folder.")
    private Path checkpoint;

    @Mixin private SourceOptions reading;

    /// As the options of degrees take.
    private static final int MOST = 1 << 20;

    @Option(names = "--gpus", required = true, paramLabel = "N", description = "GPUs of the job.")
    private int gpus;

    @Option(
            names = "--gpu-memory",
            paramLabel = "SIZE",
            description = "Of one GPU (80G, 80Gi): layouts that need more are left out.")
    private Optional<String> memory = Optional.empty();

    @Option(
            names = "--nodes",
            paramLabel = "M",
            description = "Machines; tensor-parallel ranks stay within one.")
    private Optional<Integer> nodes = Optional.empty();

    @Option(names = "--all", description = "List every layout.")
    private boolean all;

    @Override
    ExitCode run() throws IOException {
        int machines = nodes.orElse(1);
        if (gpus < 1 || gpus > MOST || machines < 1 || gpus % machines != 0) {
            throw usage(
                    "--gpus %d --nodes %d; expected equally many GPUs, one or more, on every node, %d at most"
                            .formatted(gpus, machines, MOST));
        }
        long limit = memory.map(this::bytes).orElse(Long.MAX_VALUE);
        Described described = reading.describe(checkpoint);
        Request request =
                new Request(
                        checkpoint,
                        reading.from(),
                        "deepspeed",
                        reading.spec(),
                        reading.settings(),
                        Map.of());
        int most = all || json() ? Integer.MAX_VALUE : SHOWN;
        Layouts layouts =
                Layouts.of(
                        request,
                        described,
                        new Layouts.Cluster(gpus, gpus / machines, limit, most));
        if (json()) {
            Json.print(out(), fields -> write(fields, described, layouts));
        } else {
            print(described, layouts);
        }
        return ExitCode.DONE;
    }

    private void print(Described described, Layouts layouts) {
        SourceReport.print(out(), described);
        SourceReport.line(out(), "on", Quantity.count(gpus, "GPU"));
        out().println();
        Table table =
                new Table(
                        "",
                        "tp",
                        "pp",
                        "dp",
                        "ep",
                        "ZeRO",
                        "a GPU",
                        "weights",
                        "gradients",
                        "optimizer",
                        "moves");
        List<Choice> shown = layouts.possible();
        int number = 0;
        for (Choice c : shown) {
            table.row(
                    ++number,
                    c.tp(),
                    c.pp(),
                    c.dp(),
                    c.ep() > 1 ? c.ep() : "",
                    c.stage(),
                    Quantity.bytes(c.memory().total()),
                    Quantity.bytes(c.memory().weights()),
                    Quantity.bytes(c.memory().gradients()),
                    Quantity.bytes(c.memory().optimizer()),
                    c.moved().isEmpty() ? "none" : String.join(", ", c.moved()));
        }
        if (!table.isEmpty()) {
            table.print(out(), Terminal.out());
            out().println();
        }
        number = 0;
        for (Choice c : shown) {
            SourceReport.line(out(), Integer.toString(++number), command(c));
        }
        rest(layouts);
    }

    private void rest(Layouts layouts) {
        if (!all && layouts.possible().size() == SHOWN) {
            SourceReport.line(out(), "", "--all lists the others too");
        }
        if (layouts.untried() > 0) {
            SourceReport.line(
                    out(),
                    "not tried",
                    "%s: --all tries them too"
                            .formatted(Quantity.count(layouts.untried(), "layout")));
        }
        if (layouts.tooLarge() > 0) {
            SourceReport.line(
                    out(),
                    "left out",
                    "%s, for more memory than %s a GPU"
                            .formatted(
                                    Quantity.count(layouts.tooLarge(), "layout"),
                                    memory.orElse("")));
        }
        for (Map.Entry<String, List<String>> reason : layouts.impossible().entrySet()) {
            SourceReport.line(
                    out(),
                    "left out",
                    String.join(", ", reason.getValue()) + ": " + reason.getKey());
        }
    }

    private String command(Choice c) {
        StringBuilder line = new StringBuilder("ucp convert ");
        line.append(ConversionReport.quoted(checkpoint)).append(" -o OUT --to deepspeed");
        reading.from().ifPresent(f -> line.append(" --from ").append(f));
        reading.spec()
                .ifPresent(
                        s -> line.append(" --spec ").append(ConversionReport.quoted(Path.of(s))));
        reading.settings().forEach((k, v) -> line.append(" --set %s=%d".formatted(k, v)));
        line.append(" --tp %d --pp %d --dp %d".formatted(c.tp(), c.pp(), c.dp()));
        if (c.ep() > 1 || c.moved().stream().anyMatch(m -> m.startsWith("ep "))) {
            line.append(" --ep ").append(c.ep());
        }
        return line.append(" --zero ").append(c.stage()).toString();
    }

    private void write(JsonGenerator json, Described described, Layouts layouts)
            throws IOException {
        SourceReport.write(json, described);
        Json.objects(
                json,
                "layouts",
                layouts.possible(),
                (fields, c) -> {
                    fields.writeNumberField("tp", c.tp());
                    fields.writeNumberField("pp", c.pp());
                    fields.writeNumberField("dp", c.dp());
                    fields.writeNumberField("ep", c.ep());
                    fields.writeNumberField("zero_stage", c.stage());
                    fields.writeNumberField("weight_bytes", c.memory().weights());
                    fields.writeNumberField("gradient_bytes", c.memory().gradients());
                    fields.writeNumberField("optimizer_bytes", c.memory().optimizer());
                    fields.writeNumberField("bytes", c.memory().total());
                    Json.texts(fields, "moves", c.moved());
                    fields.writeStringField("command", command(c));
                });
        json.writeNumberField("too_large", layouts.tooLarge());
        Json.objects(
                json,
                "impossible",
                List.copyOf(layouts.impossible().entrySet()),
                (fields, reason) -> {
                    Json.texts(fields, "degrees", reason.getValue());
                    fields.writeStringField("reason", reason.getKey());
                });
    }

    private long bytes(String size) {
        return Quantity.size(size)
                .orElseThrow(
                        () ->
                                usage(
                                        "--gpu-memory is '%s'; expected a size such as 80G or 80Gi"
                                                .formatted(Printable.of(size))));
    }

    private ParameterException usage(String message) {
        return new ParameterException(spec().commandLine(), message);
    }
}
