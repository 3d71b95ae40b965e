package io.ucp.formats.safetensors;

import io.ucp.formats.hub.WeightMap;
import io.ucp.io.Parallel;
import io.ucp.io.PlainFile;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// The headers of many files, read by all processors.
final class Headers {
    private Headers() {}

    static List<Header> read(Path folder, List<String> files) throws IOException {
        return Parallel.map(files, file -> Header.read(PlainFile.of(folder.resolve(file))));
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
}
