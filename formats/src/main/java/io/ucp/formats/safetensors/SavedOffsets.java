package io.ucp.formats.safetensors;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;

import io.ucp.formats.safetensors.Header.Tensor;
import io.ucp.io.MalformedFileException;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/// Where the tensors of a file begin in the whole tensors that DCP cut them from.
///
/// `DCP_SHARDING_INFO`: a JSON text, `{TENSOR: {"saved_offsets": [..]}, ..}`, in `__metadata__`.
///
/// Source: torch `torch/distributed/checkpoint/filesystem.py` (`_write_files_from_queue`),
/// `hf_storage.py` (`read_metadata`).
final class SavedOffsets {
    private static final String KEY = "DCP_SHARDING_INFO";
    private static final String OFFSETS = "saved_offsets";
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private SavedOffsets() {}

    /// Tensor -> offsets, one a dimension; empty where the file says none.
    static Optional<Map<String, long[]>> of(Header header) throws MalformedFileException {
        String text = header.metadata().get(KEY);
        if (text == null || text.isEmpty()) {
            return Optional.empty();
        }
        Path file = header.source().path();
        JsonNode root;
        try {
            root = MAPPER.readTree(text);
        } catch (JsonProcessingException e) {
            throw Header.malformed(
                    file,
                    Header.PREFIX,
                    "%s that is not JSON: %s".formatted(KEY, e.getOriginalMessage()),
                    "the offsets of each tensor");
        }
        Map<String, long[]> offsets = new LinkedHashMap<>();
        for (Map.Entry<String, Tensor> each : header.tensors().entrySet()) {
            JsonNode list = root.path(each.getKey()).path(OFFSETS);
            Tensor tensor = each.getValue();
            int rank = tensor.shape().rank();
            boolean fits = list.isArray() && list.size() == rank;
            long[] numbers = new long[rank];
            for (int d = 0; fits && d < rank; d++) {
                JsonNode number = list.get(d);
                numbers[d] = number.asLong(-1);
                fits =
                        number.isIntegralNumber()
                                && number.canConvertToLong()
                                && numbers[d] >= 0
                                && numbers[d] <= Long.MAX_VALUE - tensor.shape().dim(d);
            }
            if (!fits) {
                throw Header.malformed(
                        file,
                        tensor.at(),
                        "%s of '%s' in %s: %s"
                                .formatted(
                                        OFFSETS,
                                        each.getKey(),
                                        KEY,
                                        list.isMissingNode() ? "none" : list),
                        "%d numbers from 0 on, one a dimension".formatted(rank));
            }
            offsets.put(each.getKey(), numbers);
        }
        return Optional.of(offsets);
    }
}
