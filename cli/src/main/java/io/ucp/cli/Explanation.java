package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.checkpoint.Copy;
import io.ucp.checkpoint.Fragment;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.Scalar;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/// Where every element of one parameter lies: `ucp plan --explain NAME`.
///
/// @param folder the checkpoint's, which paths are relative to
record Explanation(Parameter parameter, Path folder) {
    void print(PrintWriter out, Terminal terminal) {
        ParameterFacts facts = parameter.facts();
        out.println(
                terminal.strong(Printable.of(parameter.name())) + "  " + facts.shape() + padding());
        SourceReport.line(out, "cut", cut());
        if (!facts.aliases().isEmpty()) {
            SourceReport.line(out, "tied", String.join(", ", facts.aliases()));
        }
        for (Map.Entry<String, Scalar> scalar : facts.scalars().entrySet()) {
            SourceReport.line(out, scalar.getKey(), scalarText(scalar.getValue()));
        }
        SourceReport.notes(out, terminal, "note", facts.notes());
        for (Map.Entry<String, StateHolding> state : parameter.states().entrySet()) {
            print(out, terminal, state.getKey(), state.getValue());
        }
    }

    private String padding() {
        ParameterFacts facts = parameter.facts();
        return facts.padded() ? " of which real " + facts.realShape() : "";
    }

    private String cut() {
        ParameterFacts.Split split = parameter.facts().split();
        return switch (split.kind()) {
            case UNKNOWN -> "one rank over tp";
            case REPLICATED -> "replicated over tp";
            case AVERAGED -> "averaged over tp";
            case SHARDED -> "dim %d over tp".formatted(split.dim());
            case FUSED -> "dim %d over tp, part by part %s".formatted(split.dim(), split.parts());
        };
    }

    private void print(PrintWriter out, Terminal terminal, String state, StateHolding holding) {
        out.println();
        out.println(
                terminal.strong(state)
                        + "  %s, %s"
                                .formatted(
                                        holding.dtype().torchName(),
                                        holding.copies().size() == 1
                                                ? "held once"
                                                : "%d copies, %s"
                                                        .formatted(
                                                                holding.copies().size(),
                                                                holding.agreement()
                                                                        .name()
                                                                        .toLowerCase(Locale.ROOT))));
        ShardPicture picture =
                new ShardPicture(
                        parameter.facts().shape(), holding.copies().getFirst().fragments());
        picture.print(out, terminal);
        Table table = new Table("", "elements", "bytes", "file", "copy");
        for (int c = 0; c < holding.copies().size(); c++) {
            Copy copy = holding.copies().get(c);
            List<Fragment> fragments = copy.fragments();
            for (int f = 0; f < fragments.size(); f++) {
                Fragment fragment = fragments.get(f);
                table.row(
                        c == 0 ? ShardPicture.letter(f) : "",
                        box(fragment.piece()),
                        "%d..%d".formatted(start(fragment), end(fragment)),
                        relative(fragment.source().path()),
                        holding.copies().size() == 1 ? "" : copy.label());
            }
        }
        table.print(out, terminal);
    }

    private Path relative(Path file) {
        return file.startsWith(folder) ? folder.relativize(file) : file;
    }

    /// As Python slices of the whole parameter, `[0:512, :]`; of a view of it where its dims are
    /// factored, `view [4, 24, 64] [0:2, :, :]`.
    private String box(Piece piece) {
        long[] dims =
                java.util.Arrays.stream(parameter.facts().shape().dims())
                        .filter(dim -> dim != 1)
                        .toArray();
        long[] grid = piece.grid();
        long[] start = piece.start();
        long[] extent = piece.extent();
        List<String> slices = new ArrayList<>();
        for (int d = 0; d < grid.length; d++) {
            slices.add(
                    extent[d] == grid[d]
                            ? ":"
                            : extent[d] == 1
                                    ? String.valueOf(start[d])
                                    : "%d:%d".formatted(start[d], start[d] + extent[d]));
        }
        String box = "[" + String.join(", ", slices) + "]";
        return java.util.Arrays.equals(dims, grid)
                ? box
                : "view %s %s".formatted(Shape.of(grid), box);
    }

    /// First byte in the file.
    private static long start(Fragment fragment) {
        return fragment.offset() + fragment.piece().localOffset() * fragment.dtype().width();
    }

    /// One past the last byte in the file; what lies between may belong to others where the box is
    /// strided.
    private static long end(Fragment fragment) {
        Piece piece = fragment.piece();
        long last = piece.localOffset();
        long[] extent = piece.extent();
        long[] stride = piece.localStride();
        for (int d = 0; d < extent.length; d++) {
            last += (extent[d] - 1) * stride[d];
        }
        return fragment.offset() + (last + 1) * fragment.dtype().width();
    }

    void write(JsonGenerator json) throws IOException {
        ParameterReport.facts(json, parameter.facts());
        Json.objects(
                json,
                "holdings",
                parameter.states().entrySet(),
                (fields, state) -> {
                    fields.writeStringField("state", state.getKey());
                    fields.writeStringField("dtype", state.getValue().dtype().torchName());
                    fields.writeStringField(
                            "agreement",
                            state.getValue().agreement().name().toLowerCase(Locale.ROOT));
                    Json.objects(fields, "copies", state.getValue().copies(), this::copy);
                });
    }

    private void copy(JsonGenerator json, Copy copy) throws IOException {
        json.writeStringField("label", copy.label());
        Json.objects(
                json,
                "fragments",
                copy.fragments(),
                (fields, fragment) -> {
                    fields.writeStringField("file", relative(fragment.source().path()).toString());
                    fields.writeNumberField("byte_offset", fragment.offset());
                    Json.numbers(fields, "grid", fragment.piece().grid());
                    Json.numbers(fields, "start", fragment.piece().start());
                    Json.numbers(fields, "extent", fragment.piece().extent());
                    fields.writeNumberField("local_offset", fragment.piece().localOffset());
                    Json.numbers(fields, "local_stride", fragment.piece().localStride());
                });
    }

    static String scalarText(Scalar scalar) {
        return ParameterReport.number(scalar);
    }
}
