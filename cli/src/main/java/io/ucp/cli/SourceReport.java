package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.convert.Described;
import io.ucp.convert.OpenedSource;
import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.Finding;
import io.ucp.io.overlay.Overlay;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

/// What was taken as the source, and what was left beside it: how every report on a checkpoint
/// begins.
final class SourceReport {
    private static final int FINDINGS = 8;

    private SourceReport() {}

    static void print(PrintWriter out, Described described) {
        OpenedSource source = described.source();
        Candidate taken = source.taken();
        CheckpointIndex index = source.index();
        line(out, "source", title(taken, index));
        line(out, "", taken.folder());
        for (Candidate left : source.left()) {
            boolean other = !left.format().equals(taken.format());
            String how = other ? " (--from %s reads it)".formatted(left.format()) : "";
            line(out, "left", name(left) + ": " + left.folder() + how);
        }
        decoded(out, taken.folder());
        line(out, "layout", layout(described));
        line(out, "spec", spec(described));
    }

    /// What is not read as it lies there.
    private static void decoded(PrintWriter out, Path folder) {
        List<Path> files = Overlay.replaced(folder);
        if (!files.isEmpty()) {
            String names =
                    files.stream()
                            .limit(FINDINGS)
                            .map(file -> String.valueOf(file.getFileName()))
                            .collect(Collectors.joining(", "));
            String more =
                    files.size() > FINDINGS
                            ? " and %s more".formatted(files.size() - FINDINGS)
                            : "";
            line(out, "decoded", "%s (lost; read through the parity)".formatted(names + more));
        }
    }

    /// A heading of fixed width and a text.
    static void line(PrintWriter out, String heading, Object text) {
        out.println("%-9s %s".formatted(heading, Printable.of(text)).stripTrailing());
    }

    /// `deepspeed checkpoint global_step3 (named by latest), iteration 3`.
    private static String title(Candidate taken, CheckpointIndex index) {
        StringBuilder title = new StringBuilder(name(taken));
        if (!taken.pointer().isEmpty()) {
            // A format may say in brackets that there was none.
            boolean none = taken.pointer().startsWith("(");
            title.append(none ? " " : " (by ").append(taken.pointer()).append(none ? "" : ")");
        }
        index.iteration().ifPresent(i -> title.append(", iteration ").append(i));
        return title.toString();
    }

    private static String name(Candidate candidate) {
        return "%s checkpoint %s".formatted(candidate.format(), candidate.tag()).stripTrailing();
    }

    /// `pp 2 x dp 2 x tp 2 (8 ranks), ZeRO stage 1`.
    private static String layout(Described described) {
        CheckpointIndex index = described.source().index();
        boolean whole = described.sharding().isEmpty();
        List<AxisDegree> mesh = whole ? index.origin().mesh() : index.mesh();
        int stage = whole ? index.origin().stage() : index.stage();
        String layout = layout(mesh, stage);
        return whole ? "every parameter whole; written by " + layout : layout;
    }

    /// `pp 2 x dp 2 x tp 2 (8 ranks), ZeRO stage 1`.
    static String layout(List<AxisDegree> mesh, int stage) {
        return ranks(mesh) + (stage < 0 ? "" : ", ZeRO stage " + stage);
    }

    /// Axes that divide the ranks of the others anew, for the experts.
    private static final Set<String> OF_EXPERTS = Set.of("ep", "edp", "etp");

    /// Axes of one rank say nothing.
    private static String ranks(List<AxisDegree> mesh) {
        List<AxisDegree> axes = mesh.stream().filter(axis -> axis.degree() > 1).toList();
        List<AxisDegree> own =
                axes.stream().filter(axis -> !OF_EXPERTS.contains(axis.axis())).toList();
        List<AxisDegree> experts =
                axes.stream().filter(axis -> OF_EXPERTS.contains(axis.axis())).toList();
        long ranks = own.stream().mapToLong(AxisDegree::degree).reduce(1, (a, b) -> a * b);
        String all = own.isEmpty() ? "one rank" : "%s (%s ranks)".formatted(product(own), ranks);
        return experts.isEmpty() ? all : "%s, experts over %s".formatted(all, product(experts));
    }

    private static String product(List<AxisDegree> axes) {
        return axes.stream()
                .map(axis -> axis.axis() + " " + axis.degree())
                .collect(Collectors.joining(" x "));
    }

    /// Where a file comes from, on the axes that tell ranks apart, outermost first.
    static String rank(Coordinate at, List<AxisDegree> mesh) {
        return mesh.stream()
                .filter(axis -> axis.degree() > 1 && at.indices().containsKey(axis.axis()))
                .map(axis -> axis.axis() + " " + at.on(axis.axis()))
                .collect(Collectors.joining(", "));
    }

    private static String spec(Described described) {
        return switch (described.specName()) {
            case "" -> "none needed";
            case "inferred" -> "inferred from the checkpoint's metadata (`ucp infer` prints it)";
            case String name -> name;
        };
    }

    static void findings(PrintWriter out, Terminal terminal, List<Finding> findings) {
        List<String> lines =
                findings.stream()
                        .map(finding -> "%s: %s".formatted(finding.place(), finding.message()))
                        .toList();
        notes(out, terminal, "note", lines);
    }

    /// One line each, the first few.
    static void notes(PrintWriter out, Terminal terminal, String heading, List<String> lines) {
        lines.stream()
                .limit(FINDINGS)
                .forEach(
                        text ->
                                out.println(
                                        terminal.warning("%-9s ".formatted(heading))
                                                + Printable.of(text)));
        if (lines.size() > FINDINGS) {
            line(out, "", "and %d more; --json has all".formatted(lines.size() - FINDINGS));
        }
    }

    /// `"source": {..}` and `"spec": {..}`.
    static void write(JsonGenerator json, Described described) throws IOException {
        OpenedSource source = described.source();
        CheckpointIndex index = source.index();
        Json.object(
                json,
                "source",
                fields -> {
                    candidate(fields, source.taken());
                    if (index.iteration().isPresent()) {
                        fields.writeNumberField("iteration", index.iteration().getAsLong());
                    }
                    Json.objects(fields, "left", source.left(), SourceReport::candidate);
                    List<Path> decoded = Overlay.replaced(source.taken().folder());
                    if (!decoded.isEmpty()) {
                        Json.texts(
                                fields, "decoded", decoded.stream().map(Path::toString).toList());
                    }
                    layout(fields, index.mesh(), index.stage());
                    Json.object(
                            fields,
                            "origin",
                            origin -> {
                                origin.writeStringField("format", index.origin().format());
                                origin.writeStringField("tag", index.origin().tag());
                                layout(origin, index.origin().mesh(), index.origin().stage());
                            });
                });
        Json.object(
                json,
                "spec",
                fields -> {
                    fields.writeStringField("name", described.specName());
                    fields.writeStringField("text", described.specText());
                });
    }

    private static void candidate(JsonGenerator json, Candidate candidate) throws IOException {
        json.writeStringField("format", candidate.format());
        json.writeStringField("tag", candidate.tag());
        json.writeStringField("folder", candidate.folder().toString());
        json.writeStringField("pointer", candidate.pointer());
    }

    /// `"mesh": [..], "zero_stage": ..`.
    static void layout(JsonGenerator json, List<AxisDegree> mesh, int stage) throws IOException {
        Json.objects(
                json,
                "mesh",
                mesh,
                (axis, each) -> {
                    axis.writeStringField("axis", each.axis());
                    axis.writeNumberField("degree", each.degree());
                });
        if (stage >= 0) {
            json.writeNumberField("zero_stage", stage);
        }
    }

    static void findings(JsonGenerator json, List<Finding> findings) throws IOException {
        Json.objects(
                json,
                "findings",
                findings,
                (fields, finding) -> {
                    fields.writeStringField("place", finding.place());
                    fields.writeStringField("message", finding.message());
                });
    }
}
