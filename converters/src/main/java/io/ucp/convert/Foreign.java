package io.ucp.convert;

import io.ucp.checkpoint.Inventory;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.TargetTree;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/// Files that are carried along from a job of another framework: the ranks of a target that has
/// other names would not know what they hold.
///
/// @param left paths
record Foreign(List<CarriedFile> kept, List<String> left) {
    private static final int NAMED = 4;

    static Foreign none(Inventory inventory) {
        return new Foreign(inventory.carried(), List.of());
    }

    static Foreign of(List<CarriedFile> carried) {
        List<CarriedFile> kept = new ArrayList<>();
        List<String> left = new ArrayList<>();
        for (CarriedFile file : carried) {
            if (file.role().startsWith(CarriedFile.BEFORE_RENAME)) {
                left.add(file.path());
            } else {
                kept.add(file);
            }
        }
        return new Foreign(kept, left);
    }

    /// The target, which says what was left behind.
    TargetTree told(TargetTree tree) {
        if (left.isEmpty()) {
            return tree;
        }
        List<String> losses = new ArrayList<>(tree.losses());
        losses.add("left behind, for they are of a job that has other names: " + named(left));
        return new TargetTree(tree.files(), tree.closing(), tree.pointers(), losses, tree.notes());
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
