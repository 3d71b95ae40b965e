package io.ucp.formats.distcp;

import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;
import io.ucp.io.ChecksumField;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// A `.distcp` file in the making: items end to end.
public final class ItemFile {
    /// The name of an item's own container, which gives it torch's root for what is no file.
    public static final String ITEM = "archive";

    private final String path;
    private final List<Part> parts = new ArrayList<>();
    private final List<ChecksumField> checksums = new ArrayList<>();
    private long size;

    /// @param path relative to the checkpoint's folder
    public ItemFile(String path) {
        this.path = path;
    }

    /// Adds a container.
    ///
    /// @return where it lies
    public Place add(TargetFile item) {
        long base = size;
        item.parts().forEach(part -> parts.add(part.moved(base)));
        for (ChecksumField field : item.checksums()) {
            checksums.add(
                    new ChecksumField(
                            field.from() + base,
                            field.size(),
                            field.at().stream().map(at -> at + base).toList()));
        }
        size = Math.addExact(size, item.size());
        return new Place(path, base, item.size());
    }

    public boolean isEmpty() {
        return size == 0;
    }

    public TargetFile file() {
        return new TargetFile(path, size, parts, checksums, Optional.empty());
    }
}
