package io.ucp.layout;

import io.ucp.layout.Region.Line;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.List;

/// A region seen under another local shape. Dimensions whose products are equal belong together:
/// the old ones are merged into one, which is then split into the new ones.
final class Regridding {
    /// A line of the new region before the dimensions of the grid are numbered.
    ///
    /// @param order where the dimension stands in the grid: that of the old dimension, then the
    ///   position among those that it was split into
    private record Strand(long grid, int order, int minor, List<Stretch> stretches) {
        long extent() {
            return Stretch.total(stretches);
        }

        boolean isWhole() {
            return extent() == grid;
        }
    }

    private final Region region;
    private final Shape local;
    private final Shape view;

    private Regridding(Region region, Shape local, Shape view) {
        this.region = region;
        this.local = local;
        this.view = view;
    }

    static Region of(Region region, Shape view) {
        Shape local = region.shape();
        if (local.count() != view.count()) {
            throw new ImpossibleLayoutException(
                    "view %s of %d elements".formatted(view, view.count()),
                    "the %d of %s".formatted(local.count(), local));
        }
        if (view.count() == 0) {
            return Region.whole(view);
        }
        return new Regridding(region, local, view).result();
    }

    private Region result() {
        List<Strand> strands = new ArrayList<>();
        for (Pairing pairing : Pairing.of(local, view)) {
            Strand merged = new Strand(1, region.grid().rank(), 0, List.of(new Stretch(0, 1)));
            for (int i = pairing.from(); i < pairing.to(); i++) {
                Line line = region.lines().get(i);
                merged =
                        merge(
                                merged,
                                new Strand(
                                        region.grid().dim(line.dim()),
                                        line.dim(),
                                        0,
                                        line.stretches()));
            }
            split(merged, pairing, strands);
        }
        return numbered(strands);
    }

    private Strand merge(Strand outer, Strand inner) {
        if (outer.grid == 1) {
            return inner;
        }
        if (inner.grid == 1) {
            return outer;
        }
        if (!follows(outer.order, inner.order) || !inner.isWhole()) {
            throw new ImpossibleLayoutException(
                    "view %s of %s".formatted(view, local),
                    "one that keeps apart the dimensions that an earlier step cut or moved");
        }
        long n = inner.grid;
        List<Stretch> scaled =
                outer.stretches.stream()
                        .map(s -> new Stretch(s.start() * n, s.extent() * n))
                        .toList();
        return new Strand(outer.grid * n, inner.order, 0, scaled);
    }

    private boolean follows(int outer, int inner) {
        for (int between = outer + 1; between < inner; between++) {
            if (region.grid().dim(between) != 1) {
                return false;
            }
        }
        return outer < inner;
    }

    private void split(Strand strand, Pairing pairing, List<Strand> into) {
        if (pairing.viewFrom() == pairing.viewTo() && strand.grid == 1) {
            return;
        }
        long inner = 1;
        for (int k = pairing.viewFrom() + 1; k < pairing.viewTo(); k++) {
            inner *= view.dim(k);
        }
        List<Stretch> outer = new ArrayList<>();
        for (Stretch s : strand.stretches) {
            if (s.start() % inner != 0 || s.extent() % inner != 0 || strand.grid % inner != 0) {
                throw new ImpossibleLayoutException(
                        "view %s of %s".formatted(view, local),
                        "one whose inner %d elements an earlier step left together"
                                .formatted(inner));
            }
            outer.add(new Stretch(s.start() / inner, s.extent() / inner));
        }
        into.add(new Strand(strand.grid / inner, strand.order, 0, outer));
        for (int k = pairing.viewFrom() + 1; k < pairing.viewTo(); k++) {
            into.add(
                    new Strand(
                            view.dim(k),
                            strand.order,
                            k - pairing.viewFrom(),
                            List.of(new Stretch(0, view.dim(k)))));
        }
    }

    private static Region numbered(List<Strand> strands) {
        List<Strand> inGrid = new ArrayList<>(strands);
        inGrid.sort(
                (a, b) ->
                        a.order != b.order
                                ? Integer.compare(a.order, b.order)
                                : Integer.compare(a.minor, b.minor));
        List<Line> lines = new ArrayList<>();
        for (Strand strand : strands) {
            lines.add(new Line(place(inGrid, strand), strand.stretches));
        }
        return new Region(Shape.of(inGrid.stream().mapToLong(Strand::grid).toArray()), lines);
    }

    private static int place(List<Strand> strands, Strand wanted) {
        for (int i = 0; i < strands.size(); i++) {
            Strand s = strands.get(i);
            if (s.order == wanted.order && s.minor == wanted.minor) {
                return i;
            }
        }
        throw new IllegalStateException("a dimension without a place in the grid");
    }
}
