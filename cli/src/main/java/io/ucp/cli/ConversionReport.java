package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.checkpoint.Parameter;
import io.ucp.convert.Prepared;
import io.ucp.convert.Report;
import io.ucp.convert.Request;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.PartConfig;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/// What `ucp convert` did.
final class ConversionReport {
    private ConversionReport() {}

    static void print(PrintWriter out, Terminal terminal, Prepared prepared, Report report) {
        String states =
                report.states().entrySet().stream()
                        .map(state -> state.getKey() + " " + Quantity.count(state.getValue()))
                        .sorted()
                        .collect(Collectors.joining(", "));
        SourceReport.notes(out, terminal, "differ", report.differences());
        SourceReport.notes(out, terminal, "lost", report.losses());
        SourceReport.findings(out, terminal, report.findings());
        boolean cloned = report.bytesCloned() > 0;
        String rate = cloned ? "" : Quantity.rate(report.bytesWritten(), report.took());
        out.println(
                terminal.good("%-9s ".formatted("done"))
                        + "%s in %s%s: %s, %s"
                                .formatted(
                                        Quantity.bytes(
                                                report.bytesWritten() + report.bytesCloned()),
                                        Quantity.duration(report.took()),
                                        rate.isEmpty() ? "" : " (" + rate + ")",
                                        Quantity.count(report.parameters(), "parameter"),
                                        Quantity.count(report.files(), "file")));
        if (report.bytesKept() > 0) {
            SourceReport.line(
                    out,
                    "resumed",
                    Quantity.bytes(report.bytesKept())
                            + " had been written before, and was checked");
        }
        if (cloned) {
            SourceReport.line(
                    out,
                    "cloned",
                    Quantity.bytes(report.bytesCloned())
                            + " share their blocks with the source (--reflink never copies them)");
        }
        report.readBack()
                .ifPresent(
                        n ->
                                SourceReport.line(
                                        out,
                                        "read back",
                                        Quantity.count(n, "state") + ", as in the source"));
        SourceReport.line(out, "states", states);
        SourceReport.line(out, "output", report.output());
        String heading = "next";
        for (String step : next(prepared, report.output())) {
            SourceReport.line(out, heading, step);
            heading = "";
        }
    }

    /// What people do with the output, by format.
    private static List<String> next(Prepared prepared, Path output) {
        Request request = prepared.request();
        boolean weights =
                request.weightsOnly()
                        || prepared.inventory().parameters().stream()
                                .map(Parameter::facts)
                                .allMatch(ConversionReport::isWeight);
        String fresh = weights ? " --no-load-optim" : "";
        return switch (request.to()) {
            case "universal" ->
                    List.of(
                            "ucp verify %s".formatted(quoted(output)),
                            "ucp convert %s -o DIR --to FORMAT".formatted(quoted(output)));
            case "deepspeed-universal" ->
                    List.of(
                            "DeepSpeed resumes from it at any degrees: load_checkpoint(\"%s\"),"
                                    .formatted(output),
                            "with \"checkpoint\": {\"load_universal\": true} in its config;",
                            "Megatron-DeepSpeed: --load %s --universal-checkpoint"
                                    .formatted(quoted(output)));
            case "deepspeed" ->
                    List.of(
                            weights
                                    ? "DeepSpeed loads it at these degrees: load_checkpoint(\"%s\", load_module_only=True)"
                                            .formatted(output)
                                    : "DeepSpeed resumes from it at these degrees: load_checkpoint(\"%s\")"
                                            .formatted(output),
                            "ucp inspect %s".formatted(quoted(output)));
            case "megatron" ->
                    List.of(
                            "Megatron-LM resumes from it at these degrees: --load %s"
                                            .formatted(quoted(output))
                                    + " --ckpt-format torch"
                                    + fresh,
                            "ucp inspect %s".formatted(quoted(output)));
            case "megatron-dist" ->
                    List.of(
                            "Megatron-LM resumes from it at any degrees: --load %s"
                                            .formatted(quoted(output))
                                    + " --ckpt-format torch_dist"
                                    + fresh,
                            "ucp inspect %s".formatted(quoted(output)));
            case "safetensors", "torch" ->
                    List.of(
                            Files.exists(output.resolve(PartConfig.FILE))
                                    ? "transformers makes the model from it: from_pretrained(\"%s\")"
                                            .formatted(output)
                                    : tensors(request.to(), output),
                            "ucp inspect %s".formatted(quoted(output)));
            case String _ -> List.of();
        };
    }

    /// Without a `config.json` transformers makes no model, but files of tensors can be loaded.
    private static String tensors(String format, Path output) {
        return format.equals("torch")
                ? "torch.load reads the files of %s, each a state dict".formatted(output)
                : "safetensors.torch.load_file reads the files of %s, each a dict of tensors"
                        .formatted(output);
    }

    /// An optimizer may keep nothing of a parameter, and have it in a group.
    static boolean isWeight(ParameterFacts facts) {
        return facts.optimizerGroup() < 0 && facts.optimizerStates().isEmpty();
    }

    /// As a shell takes it.
    static String quoted(Path path) {
        String text = path.toString();
        return text.matches("[\\w@%+=:,./-]+") ? text : "'" + text.replace("'", "'\\''") + "'";
    }

    static void write(JsonGenerator json, Prepared prepared, Report report) throws IOException {
        SourceReport.write(json, prepared.described());
        Json.object(
                json,
                "target",
                target -> {
                    target.writeStringField("format", prepared.request().to());
                    target.writeStringField("folder", report.output().toString());
                    Json.texts(target, "pointers", report.pointers());
                    target.writeNumberField("files", report.files());
                });
        json.writeNumberField("parameters", report.parameters());
        Json.object(
                json,
                "states",
                states -> {
                    for (Map.Entry<String, Integer> state :
                            new TreeMap<>(report.states()).entrySet()) {
                        states.writeNumberField(state.getKey(), state.getValue());
                    }
                });
        json.writeNumberField("bytes_read", report.bytesRead());
        json.writeNumberField("bytes_written", report.bytesWritten());
        json.writeNumberField("bytes_kept", report.bytesKept());
        json.writeNumberField("bytes_cloned", report.bytesCloned());
        if (report.readBack().isPresent()) {
            json.writeNumberField("states_read_back", report.readBack().getAsLong());
        }
        json.writeNumberField("seconds", report.took().toNanos() / 1e9);
        Json.object(
                json,
                "digests",
                digests -> {
                    for (Map.Entry<String, Map<String, String>> parameter :
                            new TreeMap<>(report.digests()).entrySet()) {
                        Json.texts(
                                digests,
                                parameter.getKey(),
                                ParameterFacts.ofRealElements(parameter.getValue()));
                    }
                });
        Json.texts(json, "differences", report.differences());
        Json.texts(json, "losses", report.losses());
        SourceReport.findings(json, report.findings());
    }
}
