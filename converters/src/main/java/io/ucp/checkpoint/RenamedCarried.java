package io.ucp.checkpoint;

import io.ucp.bind.Renamed;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CarriedFile.Content;
import io.ucp.formats.CarriedFile.Storage;
import io.ucp.formats.Elementwise;
import io.ucp.tensor.Piece;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/// The carried files of a renamed state: what they name of a parameter is named of what became of
/// it, so that their bytes can be made again from the new parameters.
final class RenamedCarried {
    /// Runs of one stretch; where it would fall into more, its bytes are carried as they are.
    private static final int MOST_RUNS = 4096;

    private final Map<String, Renamed> byName;
    private final Carrying carrying;

    /// The bytes that references stand for, by file and storage; none where the source has only the
    /// references.
    private final Map<String, Map<String, Storage>> bytes = new HashMap<>();

    private RenamedCarried(Inventory inventory, Map<String, Renamed> byName, Carrying carrying) {
        this.byName = byName;
        this.carrying = carrying;
        inventory.index().carried().forEach(f -> bytes.put(f.path(), f.storages()));
    }

    /// @param byName the renames by the names of the parameters before
    static List<CarriedFile> of(
            Inventory inventory, Map<String, Renamed> byName, Carrying carrying) {
        RenamedCarried renamed = new RenamedCarried(inventory, byName, carrying);
        return inventory.carried().stream().map(renamed::file).toList();
    }

    private CarriedFile file(CarriedFile file) {
        Map<String, Storage> storages = new HashMap<>();
        file.storages()
                .forEach(
                        (key, storage) -> {
                            List<Content> content = new ArrayList<>();
                            for (Content part : storage.content()) {
                                content.addAll(content(file.path(), key, part));
                            }
                            storages.put(key, new Storage(storage.size(), content));
                        });
        return new CarriedFile(
                file.path(), role(file), file.at(), file.file(), file.root(), storages);
    }

    /// The way back gives the role back.
    private static String role(CarriedFile file) {
        String before = CarriedFile.BEFORE_RENAME;
        return file.root().isEmpty()
                ? file.role()
                : file.role().startsWith(before)
                        ? file.role().substring(before.length())
                        : before + file.role();
    }

    private List<Content> content(String path, String key, Content part) {
        if (!(part instanceof Content.Elements(long offset, Elementwise of))) {
            return List.of(part);
        }
        Renamed renamed = byName.get(of.parameter());
        if (renamed == null) {
            return List.of(part);
        }
        List<Run> runs = runs(renamed, of);
        if (runs.size() > MOST_RUNS) {
            Optional<Content> raw = raw(path, key, offset, of.size());
            if (raw.isPresent()) {
                return List.of(raw.get());
            }
        }
        List<Content> out = new ArrayList<>();
        for (Run run : runs) {
            List<Piece> pieces = Span.cut(run.pieces, run.from, run.to);
            out.add(
                    new Content.Elements(
                            offset + run.from * of.dtype().width(),
                            new Elementwise(
                                    renamed.right().get(run.right).name(),
                                    of.state(),
                                    of.dtype(),
                                    run.to - run.from,
                                    pieces)));
        }
        return out;
    }

    /// Local positions `[from, to)` that are elements of one parameter on the right.
    private record Run(int right, long from, long to, List<Piece> pieces) {}

    private List<Run> runs(Renamed renamed, Elementwise of) {
        List<Piece> pieces = new ArrayList<>();
        int left = 0;
        while (!renamed.left().get(left).name().equals(of.parameter())) {
            left++;
        }
        List<Run> all = new ArrayList<>();
        if (renamed.right().size() == 1) {
            for (Piece piece : of.pieces()) {
                pieces.addAll(carrying.carry(renamed, left, 0, piece));
            }
            return List.of(new Run(0, 0, of.count(), pieces));
        }
        for (int j = 0; j < renamed.right().size(); j++) {
            for (Piece piece : of.pieces()) {
                for (Piece carried : carrying.carry(renamed, left, j, piece)) {
                    addRuns(j, carried, all);
                }
            }
        }
        all.sort(Comparator.comparingLong(Run::from));
        List<Run> merged = new ArrayList<>();
        for (Run run : all) {
            Run last = merged.isEmpty() ? null : merged.getLast();
            if (last != null && last.right == run.right && last.to == run.from) {
                List<Piece> both = new ArrayList<>(last.pieces);
                run.pieces.stream().filter(p -> !both.contains(p)).forEach(both::add);
                merged.set(merged.size() - 1, new Run(run.right, last.from, run.to, both));
            } else {
                merged.add(run);
            }
        }
        return merged;
    }

    /// The stretches of local positions that a piece fills without a gap.
    private static void addRuns(int right, Piece piece, List<Run> into) {
        long[] extent = piece.extent();
        long[] stride = piece.localStride();
        List<Integer> order = new ArrayList<>();
        for (int d = 0; d < extent.length; d++) {
            if (extent[d] > 1) {
                order.add(d);
            }
        }
        order.sort(Comparator.comparingLong((Integer d) -> stride[d]));
        long dense = 1;
        int inner = 0;
        while (inner < order.size() && stride[order.get(inner)] == dense) {
            dense *= extent[order.get(inner++)];
        }
        starts(right, piece, order.subList(inner, order.size()), piece.localOffset(), dense, into);
    }

    private static void starts(
            int right, Piece piece, List<Integer> outer, long at, long dense, List<Run> into) {
        if (outer.isEmpty()) {
            into.add(new Run(right, at, at + dense, List.of(piece)));
            return;
        }
        int d = outer.getLast();
        long stride = piece.localStride()[d];
        for (long k = 0; k < piece.extent()[d]; k++) {
            starts(right, piece, outer.subList(0, outer.size() - 1), at + k * stride, dense, into);
        }
    }

    private Optional<Content> raw(String path, String key, long offset, long size) {
        Storage storage = bytes.getOrDefault(path, Map.of()).get(key);
        if (storage == null) {
            return Optional.empty();
        }
        return storage.content().stream()
                .filter(Content.Raw.class::isInstance)
                .map(Content.Raw.class::cast)
                .filter(r -> r.offset() <= offset && offset + size <= r.offset() + r.size())
                .findFirst()
                .map(
                        r ->
                                new Content.Raw(
                                        offset,
                                        r.source(),
                                        r.sourceOffset() + offset - r.offset(),
                                        size));
    }
}
