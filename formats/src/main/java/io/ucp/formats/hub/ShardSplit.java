package io.ucp.formats.hub;

import io.ucp.formats.RefusedException;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/// How a model is divided in files: tensors in their order go into a file until the next would make
/// it larger than allowed; one that is larger by itself gets a file of its own.
///
/// Source: huggingface_hub `serialization/_base.py` (`split_state_dict_into_shards_factory`).
///
/// @param files name -> tensors, in order
/// @param totalSize bytes of all tensors
public record ShardSplit(Map<String, List<String>> files, long totalSize) {
    /// 5 GB, as huggingface_hub has it.
    public static final long STANDARD_SIZE = 5_000_000_000L;

    private static final int MOST_FILES = 99_999;

    public ShardSplit {
        files = Collections.unmodifiableMap(new LinkedHashMap<>(files));
    }

    public boolean isSharded() {
        return files.size() > 1;
    }

    /// @param stem of the file names: `model`
    /// @param suffix with its dot: `.safetensors`
    /// @param sizes tensor -> bytes, in the order of the model
    /// @param largest bytes of tensors in a file
    public static ShardSplit of(String stem, String suffix, Map<String, Long> sizes, long largest) {
        List<List<String>> shards = new ArrayList<>();
        List<String> current = new ArrayList<>();
        long size = 0;
        long total = 0;
        for (Map.Entry<String, Long> tensor : sizes.entrySet()) {
            long bytes = tensor.getValue();
            total = Math.addExact(total, bytes);
            if (bytes > largest) {
                shards.add(List.of(tensor.getKey()));
                continue;
            }
            if (size + bytes > largest) {
                shards.add(current);
                current = new ArrayList<>();
                size = 0;
            }
            current.add(tensor.getKey());
            size += bytes;
        }
        if (!current.isEmpty() || shards.isEmpty()) {
            shards.add(current);
        }
        if (shards.size() > MOST_FILES) {
            throw new RefusedException(
                    "--max-shard-size",
                    "%d files".formatted(shards.size()),
                    "at most %d, for which the names have room".formatted(MOST_FILES),
                    "give a larger size");
        }
        Map<String, List<String>> files = new LinkedHashMap<>();
        for (int i = 0; i < shards.size(); i++) {
            files.put(
                    shards.size() == 1
                            ? stem + suffix
                            : String.format(
                                    Locale.ROOT,
                                    "%s-%05d-of-%05d%s",
                                    stem,
                                    i + 1,
                                    shards.size(),
                                    suffix),
                    shards.get(i));
        }
        return new ShardSplit(files, total);
    }

    /// The index, as Python's `json.dumps(.., indent=2, sort_keys=True)` writes it.
    public byte[] index() {
        StringBuilder text = new StringBuilder(64);
        text.append("{\n  \"metadata\": {\n    \"total_size\": ").append(totalSize);
        text.append("\n  },\n  \"weight_map\": {");
        TreeMap<String, String> byTensor = new TreeMap<>(PythonOrder.BY_CODE_POINT);
        files.forEach((file, tensors) -> tensors.forEach(t -> byTensor.put(t, file)));
        String separator = "\n";
        for (Map.Entry<String, String> tensor : byTensor.entrySet()) {
            text.append(separator).append("    ");
            PythonOrder.quote(tensor.getKey(), text);
            text.append(": ");
            PythonOrder.quote(tensor.getValue(), text);
            separator = ",\n";
        }
        text.append(byTensor.isEmpty() ? "}\n}\n" : "\n  }\n}\n");
        return text.toString().getBytes(StandardCharsets.US_ASCII);
    }
}
