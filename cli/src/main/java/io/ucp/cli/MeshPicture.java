package io.ucp.cli;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.TensorEntry;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// The ranks as boxes, with the bytes of tensors that each one's files hold: the innermost axis to
/// the right, the outer ones downwards, the data-parallel ranks inside a box.
///
/// ```
///        tp 0             tp 1
///      +----------------+----------------+
/// pp 0 | dp 0   123 kB  | dp 0   123 kB  |
///      | dp 1   123 kB  | dp 1   123 kB  |
///      +----------------+----------------+
/// ```
final class MeshPicture {
    private static final int MOST_RANKS = 64;
    private static final String DATA = "dp";

    private final List<AxisDegree> mesh;
    private final Map<String, Long> sizes = new TreeMap<>();

    MeshPicture(CheckpointIndex index) {
        this.mesh =
                index.mesh().stream()
                        .filter(axis -> axis.degree() > 1)
                        .filter(axis -> tellsApart(index, axis.axis()))
                        .toList();
        for (HeldTensor tensor : index.tensors()) {
            add(tensor.at(), tensor.tensor().size());
        }
        for (FlatGroup group : index.flatGroups()) {
            for (FlatGroup.Part part : group.parts()) {
                for (TensorEntry state : part.states().values()) {
                    add(part.at(), state.size());
                }
            }
        }
    }

    /// Ranks of an axis that no file speaks of share all files: there is nothing to draw of them.
    private static boolean tellsApart(CheckpointIndex index, String axis) {
        return index.tensors().stream().anyMatch(t -> t.at().indices().containsKey(axis))
                || index.flatGroups().stream()
                        .flatMap(g -> g.parts().stream())
                        .anyMatch(p -> p.at().indices().containsKey(axis));
    }

    private void add(Coordinate at, long size) {
        sizes.merge(key(at), size, Long::sum);
    }

    /// What is said of an axis that the mesh lacks does not tell ranks apart.
    private String key(Coordinate at) {
        StringBuilder key = new StringBuilder();
        for (AxisDegree axis : mesh) {
            Integer index = at.indices().get(axis.axis());
            key.append(index == null ? "*" : index).append(' ');
        }
        return key.toString();
    }

    /// Nothing for one rank; a summary for too many.
    void print(PrintWriter out, Terminal terminal, boolean all) {
        long ranks = mesh.stream().mapToLong(AxisDegree::degree).reduce(1, (a, b) -> a * b);
        if (ranks == 1 || (ranks > MOST_RANKS && !all) || isBlank()) {
            return;
        }
        List<AxisDegree> inside = mesh.stream().filter(a -> a.axis().endsWith(DATA)).toList();
        List<AxisDegree> model = mesh.stream().filter(a -> !a.axis().endsWith(DATA)).toList();
        List<AxisDegree> across = model.isEmpty() ? List.of() : List.of(model.getLast());
        List<AxisDegree> down = model.isEmpty() ? List.of() : model.subList(0, model.size() - 1);
        draw(out, terminal, places(down), places(across), places(inside));
    }

    /// No tensor is one rank's own: some axes share out one part of the model, others another.
    private boolean isBlank() {
        return sizes.keySet().stream().allMatch(key -> key.contains("*"));
    }

    /// Every coordinate on some axes, outermost first.
    private static List<Coordinate> places(List<AxisDegree> axes) {
        List<Coordinate> places = List.of(Coordinate.NONE);
        for (AxisDegree axis : axes) {
            List<Coordinate> next = new ArrayList<>();
            for (Coordinate place : places) {
                for (int i = 0; i < axis.degree(); i++) {
                    next.add(place.with(axis.axis(), i));
                }
            }
            places = next;
        }
        return places;
    }

    private void draw(
            PrintWriter out,
            Terminal terminal,
            List<Coordinate> down,
            List<Coordinate> across,
            List<Coordinate> inside) {
        int margin = down.stream().mapToInt(place -> label(place).length()).max().orElse(0);
        List<List<String>> rows = new ArrayList<>();
        int width = across.stream().mapToInt(place -> label(place).length()).max().orElse(0);
        for (Coordinate row : down) {
            for (Coordinate rank : inside) {
                List<String> cells = new ArrayList<>();
                for (Coordinate column : across) {
                    String cell = cell(row, column, rank);
                    cells.add(cell);
                    width = Math.max(width, cell.length());
                }
                rows.add(cells);
            }
        }
        String indent = " ".repeat(margin + (margin == 0 ? 0 : 1));
        if (across.size() > 1) {
            StringBuilder heads = new StringBuilder(indent);
            for (Coordinate column : across) {
                heads.append("  ").append(padded(label(column), width)).append(' ');
            }
            out.println(terminal.faint(heads.toString().stripTrailing()));
        }
        String rule = indent + ("+" + "-".repeat(width + 2)).repeat(across.size()) + "+";
        out.println(terminal.faint(rule));
        for (int r = 0; r < rows.size(); r++) {
            boolean first = r % inside.size() == 0;
            String head = first ? label(down.get(r / inside.size())) : "";
            StringBuilder line = new StringBuilder(padded(head, indent.length()));
            for (String cell : rows.get(r)) {
                line.append("| ").append(padded(cell, width)).append(' ');
            }
            out.println(line.append('|'));
            if ((r + 1) % inside.size() == 0) {
                out.println(terminal.faint(rule));
            }
        }
    }

    private String cell(Coordinate row, Coordinate column, Coordinate rank) {
        Coordinate at = rank;
        for (Coordinate outer : List.of(row, column)) {
            for (Map.Entry<String, Integer> index : outer.indices().entrySet()) {
                at = at.with(index.getKey(), index.getValue());
            }
        }
        // Tensors that all ranks of the other axes share are in no rank's own files.
        String size = Quantity.bytes(sizes.getOrDefault(key(at), 0L));
        return rank.indices().isEmpty() ? size : "%s  %9s".formatted(label(rank), size);
    }

    private static String label(Coordinate place) {
        return place.indices().isEmpty() ? "" : place.toString();
    }

    private static String padded(String text, int width) {
        return text + " ".repeat(width - text.length());
    }
}
