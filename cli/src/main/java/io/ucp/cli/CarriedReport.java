package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.torch.TreeJson;
import io.ucp.formats.torch.TreeText;
import io.ucp.io.ByteReader;
import io.ucp.io.ByteSource;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;

/// What a checkpoint keeps beside its tensors, readable.
record CarriedReport(List<CarriedFile> files) {
    private static final int LONGEST_TEXT = 1 << 20;

    /// @param path of one file, or the end of its path; empty for all
    /// @return nothing where no file is named so
    static Optional<CarriedReport> of(List<CarriedFile> all, String path) {
        Predicate<CarriedFile> exact = file -> path.isEmpty() || file.path().equals(path);
        Predicate<CarriedFile> wanted =
                all.stream().anyMatch(exact) ? exact : file -> file.path().endsWith("/" + path);
        return Optional.of(all.stream().filter(wanted).toList())
                .filter(files -> path.isEmpty() || !files.isEmpty())
                .map(CarriedReport::new);
    }

    void print(PrintWriter out, Terminal terminal) throws IOException {
        for (CarriedFile file : files) {
            out.println(terminal.strong(Printable.of(file.path())));
            if (file.root().isPresent()) {
                out.print(TreeText.of(file.root().get()));
            } else {
                out.println(Printable.lines(text(file)));
            }
        }
    }

    /// A file that is no pickle: small texts as they are.
    private static String text(CarriedFile file) throws IOException {
        if (file.file().isEmpty()) {
            return "(no content)";
        }
        ByteSource source = file.file().get();
        if (source.size() > LONGEST_TEXT) {
            return "(%s)".formatted(Quantity.bytes(source.size()));
        }
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(source.size()));
        try (ByteReader reader = source.open()) {
            reader.read(0, bytes);
        }
        return StandardCharsets.UTF_8.decode(bytes.flip()).toString();
    }

    void write(JsonGenerator json) throws IOException {
        Json.objects(
                json,
                "carried",
                files,
                (fields, file) -> {
                    fields.writeStringField("path", file.path());
                    fields.writeStringField("role", file.role());
                    rank(fields, file);
                    if (file.root().isPresent()) {
                        fields.writeFieldName("content");
                        TreeJson.write(fields, file.root().get());
                    } else {
                        fields.writeStringField("text", text(file));
                    }
                });
    }

    static void rank(JsonGenerator json, CarriedFile file) throws IOException {
        Json.object(
                json,
                "rank",
                axes -> {
                    for (Map.Entry<String, Integer> index : file.at().indices().entrySet()) {
                        axes.writeNumberField(index.getKey(), index.getValue());
                    }
                });
    }
}
