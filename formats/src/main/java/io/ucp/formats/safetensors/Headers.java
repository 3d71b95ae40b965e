package io.ucp.formats.safetensors;

import io.ucp.formats.hub.WeightMap;
import io.ucp.io.PlainFile;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The headers of many files, read by all processors.
final class Headers {
    private Headers() {}

    static List<Header> read(Path folder, List<String> files) throws IOException {
        try {
            return files.parallelStream().map(file -> read(folder.resolve(file))).toList();
        } catch (UncheckedIOException e) {
            throw e.getCause() == null ? new IOException(e) : e.getCause();
        }
    }

    /// What each file holds, for its index.
    static List<WeightMap.Holder> holders(List<Header> headers) {
        return headers.stream()
                .map(
                        header -> {
                            Map<String, Long> tensors = new LinkedHashMap<>();
                            header.tensors().forEach((name, t) -> tensors.put(name, t.at()));
                            return new WeightMap.Holder(header.source().path(), tensors);
                        })
                .toList();
    }

    private static Header read(Path file) {
        try {
            return Header.read(PlainFile.of(file));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
