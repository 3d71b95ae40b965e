package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.convert.MemoryNeed;
import io.ucp.convert.Prepared;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetJob;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.stream.Collectors;

/// What a conversion would read, write and need.
final class PlanReport {
    private static final int LARGEST = 12;

    private PlanReport() {}

    /// One line, for `convert`.
    static void summary(PrintWriter out, Prepared prepared, Path output) {
        SourceReport.line(
                out,
                "target",
                "%s, %s in %s: %s"
                        .formatted(
                                prepared.request().to(),
                                Quantity.bytes(prepared.bytesWritten()),
                                Quantity.count(prepared.tree().files().size(), "file"),
                                output));
        job(out, prepared);
    }

    private static void job(PrintWriter out, Prepared prepared) {
        prepared.job()
                .ifPresent(
                        j ->
                                SourceReport.line(
                                        out, "job", SourceReport.layout(j.mesh(), j.stage())));
    }

    static void print(
            PrintWriter out,
            Terminal terminal,
            Prepared prepared,
            Path output,
            int threads,
            boolean all)
            throws IOException {
        List<TargetFile> files =
                prepared.tree().files().stream()
                        .sorted(Comparator.comparingLong(TargetFile::size).reversed())
                        .toList();
        SourceReport.line(
                out,
                "target",
                "%s, %s%s"
                        .formatted(
                                prepared.request().to(),
                                Quantity.count(files.size(), "file"),
                                compressed(prepared) ? ", sizes before compression" : ""));
        job(out, prepared);
        SourceReport.line(out, "reads", Quantity.bytes(prepared.bytesRead()));
        SourceReport.line(out, "writes", Quantity.bytes(prepared.bytesWritten()));
        SourceReport.line(
                out,
                "steps",
                new TreeMap<>(prepared.steps())
                        .entrySet().stream()
                                .map(kind -> kind.getKey() + " " + Quantity.count(kind.getValue()))
                                .collect(Collectors.joining(", ")));
        SourceReport.line(out, "disk", disk(prepared, output));
        SourceReport.line(
                out,
                "memory",
                "about %s with %s"
                        .formatted(
                                Quantity.bytes(memory(prepared, threads)),
                                Quantity.count(threads, "thread")));
        SourceReport.notes(out, terminal, "lost", prepared.tree().losses());
        SourceReport.findings(out, terminal, prepared.findings());
        out.println();
        Table table = new Table("size", "file");
        files.stream()
                .limit(all ? files.size() : LARGEST)
                .forEach(file -> table.row(Quantity.bytes(file.size()), file.path()));
        table.print(out, terminal);
        if (!all && files.size() > LARGEST) {
            out.println("and %s smaller ones; --all lists them".formatted(files.size() - LARGEST));
        }
    }

    private static String disk(Prepared prepared, Path output) throws IOException {
        long needed = prepared.bytesWritten();
        OptionalLong free = free(output);
        if (free.isEmpty()) {
            return Quantity.bytes(needed) + " needed; -o tells what is free there";
        }
        return "%s needed, %s free%s"
                .formatted(
                        Quantity.bytes(needed),
                        Quantity.bytes(free.getAsLong()),
                        free.getAsLong() < needed ? ": NOT ENOUGH" : "");
    }

    /// Bytes free where the output would be; empty where no output is named (an empty path).
    private static OptionalLong free(Path output) throws IOException {
        if (output.toString().isEmpty()) {
            return OptionalLong.empty();
        }
        Path at = output.toAbsolutePath().normalize();
        while (at != null && !Files.exists(at)) {
            at = at.getParent();
        }
        return at == null
                ? OptionalLong.empty()
                : OptionalLong.of(Files.getFileStore(at).getUsableSpace());
    }

    private static long memory(Prepared prepared, int threads) {
        return MemoryNeed.of(prepared, threads).total();
    }

    private static boolean compressed(Prepared prepared) {
        return prepared.tree().files().stream().anyMatch(file -> file.assembler().isPresent());
    }

    static void write(JsonGenerator json, Prepared prepared, Path output, int threads)
            throws IOException {
        SourceReport.write(json, prepared.described());
        Json.object(
                json,
                "target",
                target -> {
                    target.writeStringField("format", prepared.request().to());
                    target.writeBooleanField("compressed", compressed(prepared));
                    if (prepared.job().isPresent()) {
                        TargetJob job = prepared.job().get();
                        SourceReport.layout(target, job.mesh(), job.stage());
                    }
                    Json.objects(
                            target,
                            "files",
                            prepared.tree().files(),
                            (file, each) -> {
                                file.writeStringField("path", each.path());
                                file.writeNumberField("size", each.size());
                            });
                });
        json.writeNumberField("parameters", prepared.inventory().parameters().size());
        json.writeNumberField("bytes_read", prepared.bytesRead());
        json.writeNumberField("bytes_written", prepared.bytesWritten());
        Json.object(
                json,
                "steps",
                steps -> {
                    for (Map.Entry<String, Integer> kind :
                            new TreeMap<>(prepared.steps()).entrySet()) {
                        steps.writeNumberField(kind.getKey(), kind.getValue());
                    }
                });
        Json.object(
                json,
                "needs",
                needs -> {
                    needs.writeNumberField("disk", prepared.bytesWritten());
                    OptionalLong free = free(output);
                    if (free.isPresent()) {
                        needs.writeNumberField("disk_free", free.getAsLong());
                    }
                    needs.writeNumberField("memory", memory(prepared, threads));
                });
        Json.texts(json, "losses", prepared.tree().losses());
        SourceReport.findings(json, prepared.findings());
    }
}
