package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.checkpoint.Copy;
import io.ucp.checkpoint.Fragment;
import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.Scalar;
import io.ucp.tensor.DType;
import io.ucp.tensor.Piece;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;

/// Where every element of one parameter lies: `ucp plan --explain NAME`.
///
/// @param folder the checkpoint's, which paths are relative to
record Explanation(Parameter parameter, Path folder) {
    /// What states that are cut alike have in common.
    ///
    /// @param copies what they are to each other
    /// @param places of every copy: where they lie and which elements they are
    private record Cut(DType dtype, String copies, List<List<Place>> places) {
        static Cut of(StateHolding holding) {
            List<List<Place>> copies = new ArrayList<>();
            for (Copy copy : holding.copies()) {
                copies.add(
                        copy.fragments().stream()
                                .map(each -> new Place(each.source().path(), each.piece()))
                                .toList());
            }
            return new Cut(holding.dtype(), relation(holding), copies);
        }
    }

    private record Place(Path file, Piece piece) {}

    void print(PrintWriter out, Terminal terminal) {
        ParameterFacts facts = parameter.facts();
        String real = facts.padded() ? " of which real " + facts.realShape() : "";
        out.println(terminal.strong(Printable.of(parameter.name())) + "  " + facts.shape() + real);
        SourceReport.line(out, "cut", cut());
        if (!facts.aliases().isEmpty()) {
            SourceReport.line(out, "tied", String.join(", ", facts.aliases()));
        }
        for (Map.Entry<String, Scalar> scalar : facts.scalars().entrySet()) {
            SourceReport.line(out, scalar.getKey(), ParameterReport.number(scalar.getValue()));
        }
        SourceReport.notes(out, terminal, "note", facts.notes());
        Map<Cut, List<String>> alike = new LinkedHashMap<>();
        parameter
                .states()
                .forEach(
                        (state, holding) ->
                                alike.computeIfAbsent(Cut.of(holding), _ -> new ArrayList<>())
                                        .add(state));
        alike.values().forEach(states -> print(out, terminal, states));
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

    /// States that are cut alike: one picture, one table.
    private void print(PrintWriter out, Terminal terminal, List<String> states) {
        List<StateHolding> holdings =
                states.stream()
                        .map(state -> Objects.requireNonNull(parameter.states().get(state)))
                        .toList();
        List<Copy> copies = holdings.getFirst().copies();
        out.println();
        out.println(
                terminal.strong(String.join(", ", states))
                        + "  "
                        + holdings.getFirst().dtype().torchName()
                        + (copies.size() == 1
                                ? ", held once"
                                : ", %d copies: %s"
                                        .formatted(copies.size(), relation(holdings.getFirst()))));
        new ShardPicture(parameter.facts().shape(), copies.getFirst().fragments())
                .print(out, terminal);
        List<String> headings = new ArrayList<>(List.of("", "elements", "file"));
        headings.add(copies.size() == 1 ? "" : "copy");
        states.forEach(state -> headings.add("bytes of " + state));
        Table table = new Table(headings.toArray(String[]::new));
        for (int c = 0; c < copies.size(); c++) {
            List<String> letters = ShardPicture.letters(copies.get(c).fragments());
            for (int f = 0; f < copies.get(c).fragments().size(); f++) {
                Fragment fragment = copies.get(c).fragments().get(f);
                List<Object> row = new ArrayList<>();
                row.add(letters.get(f));
                row.add(box(fragment.piece()));
                row.add(relative(fragment.source().path()));
                row.add(copies.size() == 1 ? "" : copies.get(c).label());
                for (StateHolding holding : holdings) {
                    row.add(bytes(holding.copies().get(c).fragments().get(f)));
                }
                table.row(row.toArray());
            }
        }
        table.print(out, terminal);
    }

    private static String relation(StateHolding holding) {
        return switch (holding.agreement()) {
            case EQUAL -> "they must be equal";
            case FIRST -> "the first is taken";
            case AVERAGE -> "their mean is taken";
        };
    }

    private Path relative(Path file) {
        return file.startsWith(folder) ? folder.relativize(file) : file;
    }

    /// As Python slices of the whole parameter, `[0:512, :]`; of a view of it where its dims are
    /// factored, `view [4, 24, 64] [0:2, :, :]`.
    private String box(Piece piece) {
        long[] dims =
                Arrays.stream(parameter.facts().shape().dims()).filter(dim -> dim != 1).toArray();
        long[] grid = piece.grid();
        long[] start = piece.start();
        long[] extent = piece.extent();
        List<String> slices = new ArrayList<>();
        for (int d = 0; d < grid.length; d++) {
            long end = start[d] + extent[d];
            slices.add(extent[d] == grid[d] ? ":" : start[d] + ":" + end);
        }
        String box = "[" + String.join(", ", slices) + "]";
        return Arrays.equals(dims, grid) ? box : "view %s %s".formatted(Shape.of(grid), box);
    }

    /// First byte in the file, and one past the last; what lies between may belong to others where
    /// the box is strided.
    private static String bytes(Fragment fragment) {
        Piece piece = fragment.piece();
        long last = piece.localOffset();
        long[] extent = piece.extent();
        long[] stride = piece.localStride();
        for (int d = 0; d < extent.length; d++) {
            last += (extent[d] - 1) * stride[d];
        }
        int width = fragment.dtype().width();
        return "%d..%d"
                .formatted(
                        fragment.offset() + piece.localOffset() * width,
                        fragment.offset() + (last + 1) * width);
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
}
