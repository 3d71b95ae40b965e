package io.ucp.formats.safetensors;

import io.ucp.formats.Elementwise;
import io.ucp.formats.TargetFile;
import io.ucp.formats.TargetFile.Part;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// One file in the making: its header, then tensors end to end.
final class FileLayout {
    private final String path;
    private final List<Part> parts = new ArrayList<>();
    private long at;

    /// @param header its JSON, as long as it is to be in the file
    FileLayout(String path, byte[] header) {
        this.path = path;
        ByteBuffer bytes =
                ByteBuffer.allocate(Header.PREFIX + header.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putLong(header.length).put(header);
        add(new Part.Literal(0, bytes.array()));
    }

    /// Bytes so far.
    long size() {
        return at;
    }

    void add(Elementwise tensor) {
        if (tensor.count() > 0) {
            add(new Part.Elements(at, tensor));
        }
    }

    void add(byte[] tensor) {
        if (tensor.length > 0) {
            add(new Part.Literal(at, tensor));
        }
    }

    private void add(Part part) {
        parts.add(part);
        at = Math.addExact(at, part.size());
    }

    TargetFile file() {
        return new TargetFile(path, at, parts, List.of(), Optional.empty());
    }
}
