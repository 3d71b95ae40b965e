package io.ucp.convert;

import io.ucp.checkpoint.Inventory;
import io.ucp.formats.CarriedFile;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/// Files that are carried along from a job of another framework: the ranks of a target that has
/// other names would not know what they hold, but take what they say of anything else.
record Foreign(List<CarriedFile> kept, List<CarriedFile> foreign) {
    private static final int NAMED = 4;

    static Foreign none(Inventory inventory) {
        return new Foreign(inventory.carried(), List.of());
    }

    static Foreign of(List<CarriedFile> carried) {
        List<CarriedFile> kept = new ArrayList<>();
        List<CarriedFile> foreign = new ArrayList<>();
        for (CarriedFile file : carried) {
            boolean renamed = file.role().startsWith(CarriedFile.BEFORE_RENAME);
            (renamed ? foreign : kept).add(file);
        }
        return new Foreign(kept, foreign);
    }

    /// The first few, and how many more.
    static String named(List<String> paths) {
        int more = paths.size() - NAMED;
        return "%s%s"
                .formatted(
                        paths.stream().limit(NAMED).collect(Collectors.joining(", ")),
                        more > 0 ? " and %d more files".formatted(more) : "");
    }
}
