package io.ucp.snapshot;

import io.ucp.convert.FolderTree;
import io.ucp.parity.NewFolder;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/// Folders that are removed at once, as far as their name goes.
final class Discarded {
    private static final String SUFFIX = ".ucp-old";

    private Discarded() {}

    /// Takes the name away first: what is half gone is nowhere under it.
    static void folder(Path folder) throws IOException {
        if (!Files.exists(folder, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        Path old = folder.resolveSibling(".%s%s".formatted(folder.getFileName(), SUFFIX));
        FolderTree.remove(old);
        Files.move(folder, old, StandardCopyOption.ATOMIC_MOVE);
        FolderTree.remove(old);
    }

    /// Removes what processes that were killed left in a folder: half removed ones and half made
    /// ones.
    ///
    /// @param kept entries that are left alone
    static void sweep(Path folder, Set<Path> kept) throws IOException {
        if (!Files.isDirectory(folder)) {
            return;
        }
        List<Path> hidden;
        try (Stream<Path> entries = Files.list(folder)) {
            hidden =
                    entries.filter(e -> e.getFileName().toString().startsWith("."))
                            .filter(e -> !kept.contains(e))
                            .toList();
        }
        for (Path entry : hidden) {
            if (entry.toString().endsWith(SUFFIX)) {
                FolderTree.remove(entry);
            }
        }
        NewFolder.sweep(hidden);
    }
}
